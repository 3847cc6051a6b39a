"""CSV: a header, and one text a row of a column."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import BinaryIO

from sapwood.corpus.document import excerpt
from sapwood.corpus.formats.content import ContentStream
from sapwood.corpus.formats.row import (
    TEXT_BYTES,
    BrokenFileError,
    Fields,
    Rejected,
    Row,
    address,
    examine,
    shown_columns,
)
from sapwood.corpus.quarantine import Reason

_BUFFER_BYTES = 1 << 20


def csv_rows(file: BinaryIO, name: str, fields: Fields, start: int) -> Iterator[Row]:
    """The rows from number `start` on; the header is none of them.

    A quote that is never closed makes a field of the rest of the file: beyond `TEXT_BYTES` that is a break.
    """
    content = ContentStream(file, name)
    return content.whole(_rows(content, fields, start))


def _rows(content: ContentStream, fields: Fields, start: int) -> Iterator[Row]:
    # Bytes that are not UTF-8 become surrogates, so that only the row they stand in is lost.
    text = io.TextIOWrapper(
        io.BufferedReader(content, _BUFFER_BYTES), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    csv.field_size_limit(min(TEXT_BYTES, sys.maxsize))
    reader = csv.reader(text, strict=False)
    try:
        header = next(reader, None)
        if header is None:
            return
        if fields.text not in header:
            if start == 0:
                yield Row(0, Rejected(Reason.NO_COLUMN, shown_columns(map(excerpt, header))), content.read_bytes)
            return
        column = header.index(fields.text)
        url = header.index(fields.url) if fields.url in header else None
        for number, values in enumerate(filter(None, reader)):
            if number >= start:
                found = _text(values, column, len(header))
                place = address(values[url]) if url is not None and not isinstance(found, Rejected) else None
                yield Row(number, found, content.read_bytes, place)
    except csv.Error as error:
        raise BrokenFileError(f"line {reader.line_num}: {error}") from None


def _text(values: list[str], column: int, width: int) -> str | Rejected:
    if len(values) != width:
        return Rejected(Reason.OTHER_WIDTH, excerpt(f"{len(values)} fields of {width}: " + ",".join(values)))
    found = examine(values[column])
    if isinstance(found, Rejected) and found.reason is Reason.SURROGATE:
        return Rejected(Reason.NOT_UTF8, found.shown)
    return found
