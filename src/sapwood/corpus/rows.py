"""Single rows out of JSONL and Parquet files: each row's text, or the reason why there is none."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from sapwood.corpus.document import excerpt
from sapwood.corpus.quarantine import Reason

TEXT_BYTES = 64 * 2**20
"""The longest text that is taken, in UTF-8."""
LINE_BYTES = 4 * TEXT_BYTES
"""The longest line that is looked at: a text written with JSON escapes is longer than in UTF-8."""

_READ_BYTES = 1 << 16
_ZSTD_WINDOW = 1 << 31
_GZIP = 31
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".parquet")
"""Endings of the files that can be read."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row gives no text, and what to show of it."""

    reason: Reason
    shown: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file."""

    number: int
    """Which row, counted from 0; in JSONL, the line."""
    text: str | Rejected
    """What the text column holds."""
    bytes: int
    """Bytes of the file that were read up to here."""


class BrokenFileError(Exception):
    """The file ends too early, or its inner form is damaged, after the last row that was yielded."""


def read_rows(file: BinaryIO, name: str, size: int, column: str, start: int) -> Iterator[Row]:
    """The rows of `file` from number `start` on. A break in the file is the last row, rejected.

    `name` decides the format (`FORMATS`); `size` is the file's size in bytes; `column` the JSON key or Parquet column.
    """
    parquet = name.endswith(".parquet")
    rows = _parquet_rows(file, size, column, start) if parquet else _json_rows(file, name, column, start)
    number, read = start, 0
    try:
        for row in rows:
            number, read = row.number + 1, row.bytes
            yield row
    except BrokenFileError as error:
        yield Row(number, Rejected(Reason.BROKEN_FILE, str(error)), read)


def _json_rows(file: BinaryIO, name: str, column: str, start: int) -> Iterator[Row]:
    decoder: Callable[[], Any] | None = None
    if name.endswith(".gz"):
        decoder = partial(zlib.decompressobj, wbits=_GZIP)
    elif name.endswith(".zst"):
        decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
    for number, (line, read) in enumerate(split_lines(_blocks(file, decoder))):
        if number < start:
            continue
        if line is None:
            yield Row(number, Rejected(Reason.TOO_LONG, f"a line of more than {LINE_BYTES} bytes"), read)
            continue
        if number == 0:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line and not line.isspace():
            yield Row(number, parse_line(line, column), read)


def _blocks(file: BinaryIO, decoder: Callable[[], Any] | None) -> Iterator[tuple[bytes, int]]:
    """The content, decompressed, in blocks, and after each how many bytes of the file were read.

    Reads the frames of the archive one by one: only so is it known whether the last one was complete, of which the
    stream readers of zstandard say nothing.
    """
    read, frame = 0, None
    while block := file.read(_READ_BYTES):
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


def split_lines(blocks: Iterable[tuple[bytes, int]], limit: int = LINE_BYTES) -> Iterator[tuple[bytes | None, int]]:
    """The lines in a sequence of blocks, without their ends; None for a line of more than `limit` bytes."""
    parts: list[bytes] = []
    length = read = 0
    for block, read in blocks:
        *ends, rest = block.split(b"\n")
        for end in ends:
            length += len(end)
            parts.append(end)
            yield (b"".join(parts) if length <= limit else None), read
            parts.clear()
            length = 0
        length += len(rest)
        if length <= limit:
            parts.append(rest)
        else:
            parts.clear()
    if length:
        yield (b"".join(parts) if length <= limit else None), read


def parse_line(line: bytes, column: str) -> str | Rejected:
    """The text in one line of JSONL.

    >>> parse_line(b'{"text": "water"}', "text")
    'water'
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            # Python's parser takes what orjson refuses although the text may be sound: NaN, surrogates in other keys.
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            return Rejected(Reason.NOT_UTF8, _shown(line))
        except (ValueError, RecursionError):
            return Rejected(Reason.BROKEN_JSON, _shown(line))
    if not isinstance(row, dict):
        return Rejected(Reason.NOT_AN_OBJECT, _shown(line))
    if column not in row:
        return Rejected(Reason.NO_COLUMN, _columns(row))
    return examine(row[column])


def examine(value: object) -> str | Rejected:
    """The text, if it is one that can be used."""
    if not isinstance(value, str):
        return Rejected(Reason.NOT_A_STRING, excerpt(repr(value)))
    if not value or value.isspace():
        return Rejected(Reason.EMPTY, "")
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        return Rejected(Reason.SURROGATE, excerpt(value))
    return value if length <= TEXT_BYTES else Rejected(Reason.TOO_LONG, excerpt(value))


def _parquet_rows(file: BinaryIO, size: int, column: str, start: int) -> Iterator[Row]:
    try:
        table = pq.ParquetFile(file)
        rows = table.metadata.num_rows
        if column not in table.schema_arrow.names:
            if start == 0:
                yield Row(0, Rejected(Reason.NO_COLUMN, _columns(table.schema_arrow.names)), size)
            return
        number = 0
        for group in range(table.num_row_groups):
            length = table.metadata.row_group(group).num_rows
            if number + length <= start:
                number += length
                continue
            for batch in table.iter_batches(batch_size=256, row_groups=[group], columns=[column]):
                for value in batch.column(0):
                    if number >= start:
                        yield Row(number, _value(value), size * (number + 1) // rows)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BrokenFileError(excerpt(str(error))) from None


def _value(value: pa.Scalar) -> str | Rejected:
    try:
        return examine(value.as_py())
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, _shown(error.object))


def _columns(names: Iterable[str]) -> str:
    return excerpt("columns: " + ", ".join(names))


def _shown(line: bytes) -> str:
    return excerpt(line[:800].decode("utf-8", "backslashreplace"))
