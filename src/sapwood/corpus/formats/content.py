"""The content of files, decompressed where they are archives."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

import zstandard

from sapwood.corpus.formats.row import BrokenFileError, Row

_READ_BYTES = 1 << 16
_WINDOW_BYTES = 1 << 31
_GZIP = 31
_DECODERS: dict[str, Callable[[], Any]] = {
    ".gz": partial(zlib.decompressobj, wbits=_GZIP),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj(),
    ".xz": partial(lzma.LZMADecompressor, memlimit=_WINDOW_BYTES),
    ".bz2": bz2.BZ2Decompressor,
}
_DAMAGE = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError)  # bz2 raises the last
_MARKS = {
    b"\x1f\x8b\x08": ".gz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"\xfd7zXZ\0": ".xz",
    b"BZh91AY&SY": ".bz2",
    b"PK\x03\x04": ".zip",
}

ARCHIVES = tuple(_DECODERS)


def read_blocks(file: BinaryIO, name: str, limit: int | None = None) -> Iterator[tuple[bytes, int]]:
    """The content in blocks, decompressed as `name` ends, and after each how many bytes of the file were read.

    `limit` is the number of bytes to read from a file that is no archive; without it, all. Raises BrokenFileError where
    an archive is damaged or ends too early, after all that can be read before that, and where a file is an archive and
    its name does not say so. The frames of an archive are read one by one: only so is it known whether the last one was
    complete, of which the stream readers of zstandard say nothing.
    """
    decoder = next((decoder for ending, decoder in _DECODERS.items() if name.lower().endswith(ending)), None)
    read, begin, frame = 0, 0, None
    while block := file.read(_READ_BYTES if limit is None else min(_READ_BYTES, limit - read)):
        if decoder is None:
            if not read and (ending := next((_MARKS[mark] for mark in _MARKS if block.startswith(mark)), None)):
                remedy = "Unpack it" if ending == ".zip" else f"Call it {name.rpartition('/')[2]}{ending}"
                raise BrokenFileError(f"the file is an archive ({ending}), and its name does not say so. {remedy}")
            read += len(block)
            yield block, read
            continue
        read += len(block)
        while block:
            if frame is None:
                block = block.lstrip(b"\0")  # padding between and after the members of a gzip file, or xz streams
                if not block:
                    break
                frame, begin = decoder(), read - len(block)
            place = read - len(block)
            try:
                content = frame.decompress(block)
            except _DAMAGE as error:
                for content in _before_damage(decoder, file, begin, place, block):
                    yield content, read
                raise BrokenFileError(f"cannot be decompressed from byte {place} on: {error}") from None
            if content:
                yield content, read
            block = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise BrokenFileError(f"the archive ends too early, after {read} bytes")


def _before_damage(decoder: Callable[[], Any], file: BinaryIO, begin: int, place: int, block: bytes) -> Iterator[bytes]:
    """What a damaged frame gives of `block`, which stands at `place` in the file, before the damage; it starts at
    `begin`.

    A decoder that fails keeps for itself what it had of the block: up to all of a short file whose checksum alone is
    wrong. So another one gets the frame once more, and the block byte by byte.
    """
    if not file.seekable():
        return
    file.seek(begin)
    frame = decoder()
    with suppress(*_DAMAGE):
        while begin < place and (part := file.read(min(_READ_BYTES, place - begin))):
            frame.decompress(part)
            begin += len(part)
        for byte in block:
            if content := frame.decompress(bytes((byte,))):
                yield content


def read_whole(file: BinaryIO, name: str, limit: int) -> tuple[bytes, int]:
    """The content of a file, or a little more than its first `limit` bytes, and the bytes that were read for it."""
    parts: list[bytes] = []
    length = reached = 0
    for block, read in read_blocks(file, name):
        parts.append(block)
        length += len(block)
        reached = read
        if length > limit:
            break
    return b"".join(parts), reached


class ContentStream(io.RawIOBase):
    """The content of a file as a stream, for libraries that read from one. It ends where the file breaks."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.read_bytes = 0
        """Bytes of the file that were read."""
        self._blocks = read_blocks(file, name)
        self._rest = b""
        self._break: BrokenFileError | None = None

    @property
    def breaks_off(self) -> bool:
        """Whether the end that a reader has met is a break."""
        return self._break is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        if not self._rest and self._break is None:
            try:
                self._rest, self.read_bytes = next(self._blocks, (b"", self.read_bytes))
            except BrokenFileError as error:
                # Readers look ahead, and would lose what they have already if this were raised here.
                self._break = error
        taken = self._rest[: len(view)]
        view[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def whole(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows that a library makes of the stream. Raises BrokenFileError in place of one cut short by a break."""
        last: Row | None = None
        try:
            for row in rows:
                if last is not None:
                    yield last
                last = row
        except BrokenFileError:
            if last is not None and self._break is None:
                yield last
            raise
        if self._break is not None:
            raise self._break
        if last is not None:
            yield last
