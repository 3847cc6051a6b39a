"""Arrays of numpy in files, with the checksums of their blocks beside them, which are looked at as the blocks are read.

NAME.npy          the array
NAME.npy.xxh3     little-endian uint64: the size of NAME.npy in bytes, and xxh3 of every `BLOCK` bytes of it
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import reading

BLOCK = 1 << 15
"""Bytes. A first look at a document reads this much: with blocks of 1 MiB a shuffled pass over a corpus larger than the
memory would read some hundred times the corpus. The checksums, which are held in memory, take 0.024% of the array: 250
MB for a terabyte of tokens. (Mapped, they would double the number of maps, of which a process may have 65,530.)"""
SUMS = ".xxh3"

_SHIFT = BLOCK.bit_length() - 1


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Writes an array, and the checksums of its blocks beside it."""
    np.save(path, array)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        sums = [xxhash.xxh3_64_intdigest(memory[at : at + BLOCK]) for at in range(0, len(memory), BLOCK)]
        np.array([len(memory), *sums], "<u8").tofile(path.with_name(path.name + SUMS))


class MappedArray:
    """An array mapped into memory, of which no block is read whose checksum is another."""

    def __init__(self, path: Path, remedy: str, *, scattered: bool = False) -> None:
        """Maps an array that `save_array` wrote; `remedy` says what to do where it is damaged.

        `scattered` keeps the system from reading on behind every place that is looked at: on disks set up for long
        reads that costs megabytes for each. Raises SapwoodError where a file is missing or damaged.
        """
        self._path, self._remedy = path, remedy
        with reading(path.with_name(path.name + SUMS), remedy):
            self._sums = np.fromfile(path.with_name(path.name + SUMS), "<u8")
        with reading(path, remedy):
            size = path.stat().st_size
            if len(self._sums) != 1 + -(-size // BLOCK) or size != int(self._sums[0]):
                raise ValueError(f"it has {size:,} bytes, and had {int(self._sums[0]):,}")
            with path.open("rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._unread = bytearray(b"\1") * (len(self._sums) - 1)
        self._check(0, 1)  # the shape and the type stand there
        with reading(path, remedy):
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self.array: npt.NDArray[Any] = np.frombuffer(self._memory, mapped.dtype, mapped.size, mapped.offset).reshape(
            mapped.shape
        )
        """The array itself. Only what `part` or `whole` gave is checked."""
        self._offset = mapped.offset
        self._bytes = mapped.nbytes // len(mapped) if len(mapped) else 0
        if scattered:
            self._memory.madvise(mmap.MADV_RANDOM)

    def __len__(self) -> int:
        return len(self.array)

    def part(self, first: int, count: int) -> npt.NDArray[Any]:
        """Elements `first` to `first + count`, checked."""
        begin = self._offset + first * self._bytes
        block, stop = begin >> _SHIFT, (begin + count * self._bytes - 1 >> _SHIFT) + 1
        if self._unread.find(1, block, stop) >= 0:
            self._fetch(block << _SHIFT, stop - block << _SHIFT)
            self._check(block, stop)
        elif count * self._bytes > mmap.PAGESIZE:
            self._fetch(begin, count * self._bytes)
        return self.array[first : first + count]

    def whole(self) -> npt.NDArray[Any]:
        """All of it, checked."""
        self._check(0, len(self._unread))
        return self.array

    def _check(self, block: int, stop: int) -> None:
        for number in range(block, stop):
            if self._unread[number]:
                content = self._memory[number << _SHIFT : number + 1 << _SHIFT]
                if xxhash.xxh3_64_intdigest(content) != int(self._sums[number + 1]):
                    raise SapwoodError(
                        f"{self._path} is damaged: its bytes {number << _SHIFT:,} to "
                        f"{(number << _SHIFT) + len(content) - 1:,} are not those that were written. {self._remedy}"
                    )
                self._unread[number] = 0

    def _fetch(self, begin: int, size: int) -> None:
        """Asks the system to read a stretch at once, and not page by page."""
        page = begin - begin % mmap.PAGESIZE
        self._memory.madvise(mmap.MADV_WILLNEED, page, min(begin + size, len(self._memory)) - page)
