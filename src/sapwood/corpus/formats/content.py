"""The content of files, decompressed where they are archives."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

import zstandard

from sapwood.corpus.formats.row import BrokenFileError, Row

ARCHIVES = (".gz", ".zst")

_READ_BYTES = 1 << 16
_ZSTD_WINDOW = 1 << 31
_GZIP = 31


def read_blocks(file: BinaryIO, name: str, limit: int | None = None) -> Iterator[tuple[bytes, int]]:
    """The content in blocks, decompressed as `name` ends, and after each how many bytes of the file were read.

    `limit` is the number of bytes to read from a file that is no archive; without it, all. Raises BrokenFileError where
    an archive is damaged or ends too early. Its frames are read one by one: only so is it known whether the last one
    was complete, of which the stream readers of zstandard say nothing.
    """
    decoder: Callable[[], Any] | None = None
    ending = name.lower()
    if ending.endswith(".gz"):
        decoder = partial(zlib.decompressobj, wbits=_GZIP)
    elif ending.endswith(".zst"):
        decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
    read, frame = 0, None
    while block := file.read(_READ_BYTES if limit is None else min(_READ_BYTES, limit - read)):
        read += len(block)
        if decoder is None:
            yield block, read
            continue
        while block:
            if frame is None:
                block = block.lstrip(b"\0")  # padding between and after the members of a gzip file
                if not block:
                    break
                frame = decoder()
            try:
                content = frame.decompress(block)
            except (zlib.error, zstandard.ZstdError) as error:
                raise BrokenFileError(f"cannot be decompressed from byte {read - len(block)} on: {error}") from None
            if content:
                yield content, read
            block = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise BrokenFileError(f"the archive ends too early, after {read} bytes")


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
