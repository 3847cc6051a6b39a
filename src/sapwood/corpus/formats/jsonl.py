"""JSON Lines: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import orjson

from sapwood.corpus.block import Reason
from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.row import (
    TEXT_BYTES,
    BrokenFileError,
    Fields,
    Rejected,
    Row,
    address,
    examine,
    paths,
    pick,
    shown_bytes,
    shown_columns,
)

LINE_BYTES = 4 * TEXT_BYTES
"""The longest line that is looked at: a text written with JSON escapes is longer than in UTF-8."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


def json_rows(
    file: BinaryIO, name: str, fields: Fields, start: int, first: int = 0, length: int | None = None
) -> Iterator[Row]:
    """The rows from number `start` on of a file that stands at the beginning of row `first`.

    `length` is how many bytes to read; without it, all. Blank lines are no rows.
    """
    return line_rows(narrow(read_blocks(file, name, length)), fields, start, first)


def line_rows(blocks: Iterable[tuple[bytes, int]], fields: Fields, start: int, first: int = 0) -> Iterator[Row]:
    """The rows from number `start` on in a sequence of blocks that begins with row `first`."""
    for number, (line, read) in enumerate(split_lines(blocks), first):
        if number < start:
            continue
        if line is None:
            yield Row(number, Rejected(Reason.TOO_LONG, f"a line of more than {LINE_BYTES} bytes"), read)
            continue
        line = unmarked(line)
        if line and not line.isspace():
            text, url = parse_object(line, fields)
            yield Row(number, text, read, url)


def unmarked(content: bytes) -> bytes:
    """The content without byte order marks at its beginning: every file that is put behind another brings its own."""
    while content.startswith(_BYTE_ORDER_MARK):
        content = content.removeprefix(_BYTE_ORDER_MARK)
    return content


def narrow(blocks: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    """The blocks. Raises BrokenFileError where the first one is in UTF-16 or UTF-32."""
    for number, (block, read) in enumerate(blocks):
        if not number and block.startswith(_WIDE_MARKS):
            raise BrokenFileError("the file is in UTF-16 or UTF-32. Write it in UTF-8 (`iconv -f UTF-16 -t UTF-8`)")
        yield block, read


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


def parse_object(content: bytes, fields: Fields) -> tuple[str | Rejected, str | None]:
    """The text in one JSON object, and its address.

    >>> parse_object(b'{"text": "water", "page": "a.org/b"}', Fields("text", "page"))
    ('water', 'a.org/b')
    """
    try:
        row = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            # Python's parser takes what orjson refuses although the text may be sound: NaN, surrogates in other keys,
            # and, as floats, integers of any length.
            row = json.loads(content.decode(), parse_int=float)
        except UnicodeDecodeError:
            return Rejected(Reason.NOT_UTF8, shown_bytes(content)), None
        except (ValueError, RecursionError):
            return Rejected(Reason.BROKEN_JSON, shown_bytes(content)), None
    if not isinstance(row, dict):
        return Rejected(Reason.NOT_AN_OBJECT, shown_bytes(content)), None
    try:
        text = pick(row, fields.text)
    except KeyError:
        return Rejected(Reason.NO_COLUMN, shown_columns(paths(row))), None
    try:
        return examine(text), address(pick(row, fields.url)) if fields.url else None
    except KeyError:
        return examine(text), None
