"""JSON Lines: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import orjson

from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.row import TEXT_BYTES, Fields, Rejected, Row, address, examine, shown_bytes, shown_columns
from sapwood.corpus.quarantine import Reason

LINE_BYTES = 4 * TEXT_BYTES
"""The longest line that is looked at: a text written with JSON escapes is longer than in UTF-8."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_rows(
    file: BinaryIO, name: str, fields: Fields, start: int, first: int = 0, length: int | None = None
) -> Iterator[Row]:
    """The rows from number `start` on of a file that stands at the beginning of row `first`.

    `length` is how many bytes to read; without it, all. Blank lines are no rows.
    """
    for number, (line, read) in enumerate(split_lines(read_blocks(file, name, length)), first):
        if number < start:
            continue
        if line is None:
            yield Row(number, Rejected(Reason.TOO_LONG, f"a line of more than {LINE_BYTES} bytes"), read)
            continue
        if number == 0:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line and not line.isspace():
            text, url = parse_line(line, fields)
            yield Row(number, text, read, url)


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


def parse_line(line: bytes, fields: Fields) -> tuple[str | Rejected, str | None]:
    """The text in one line, and its address.

    >>> parse_line(b'{"text": "water", "page": "a.org/b"}', Fields("text", "page"))
    ('water', 'a.org/b')
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            # Python's parser takes what orjson refuses although the text may be sound: NaN, surrogates in other keys.
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            return Rejected(Reason.NOT_UTF8, shown_bytes(line)), None
        except (ValueError, RecursionError):
            return Rejected(Reason.BROKEN_JSON, shown_bytes(line)), None
    if not isinstance(row, dict):
        return Rejected(Reason.NOT_AN_OBJECT, shown_bytes(line)), None
    if fields.text not in row:
        return Rejected(Reason.NO_COLUMN, shown_columns(row)), None
    return examine(row[fields.text]), address(row.get(fields.url)) if fields.url else None
