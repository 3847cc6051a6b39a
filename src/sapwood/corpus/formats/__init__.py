"""Single rows out of files of many formats: each row's text, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from sapwood.corpus.block import Reason
from sapwood.corpus.formats.content import ARCHIVES
from sapwood.corpus.formats.jsonl import json_rows
from sapwood.corpus.formats.page import html_rows, text_rows, warc_rows
from sapwood.corpus.formats.parquet import parquet_rows
from sapwood.corpus.formats.row import BrokenFileError, Fields, Rejected, Row
from sapwood.corpus.formats.table import table_rows
from sapwood.corpus.formats.values import value_rows

__all__ = [
    "ARCHIVES",
    "FORMATS",
    "JSON_LINES",
    "PARQUET",
    "TABLES",
    "WEB",
    "Fields",
    "Rejected",
    "Row",
    "format_of",
    "read_rows",
    "until_break",
]

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
WEB = (".html", ".htm", ".warc")
"""What needs the libraries for web pages."""
JSON = ".json"
TABLES = {".csv": ",", ".tsv": "\t"}
"""What stands between the fields of a row."""
TEXT = (".txt", ".md")
FORMATS = (*JSON_LINES, JSON, PARQUET, *TABLES, *TEXT, *WEB)
"""Endings of the files that can be read; all but Parquet may be `ARCHIVES` too."""


def format_of(name: str) -> str | None:
    """The ending of `FORMATS` that says what is in a file, archive or not; None where there is none."""
    lower = name.lower()
    inner = lower.removesuffix(next((ending for ending in ARCHIVES if lower.endswith(ending)), ""))
    found = next((ending for ending in FORMATS if inner.endswith(ending)), None)
    return None if found == PARQUET and inner != lower else found


def read_rows(file: BinaryIO, name: str, size: int, fields: Fields, start: int) -> Iterator[Row]:
    """The rows of a file from number `start` on. A break in the file is the last row, rejected.

    `name` decides the format; `size` is the file's size in bytes. What is in a part of a file alone is read by
    `json_rows` and `parquet_rows`.
    """
    kind = format_of(name)
    if kind == PARQUET:
        rows = parquet_rows(file, size, fields, start)
    elif kind in TABLES:
        rows = table_rows(file, name, fields, start, TABLES[kind])
    elif kind == JSON:
        rows = value_rows(file, name, fields, start)
    elif kind in TEXT:
        rows = text_rows(file, name, start)
    elif kind == ".warc":
        rows = warc_rows(file, name, start)
    elif kind in WEB:
        rows = html_rows(file, name, start)
    else:
        rows = json_rows(file, name, fields, start)
    return until_break(rows, start)


def until_break(rows: Iterator[Row], start: int) -> Iterator[Row]:
    """The rows, and where a break ends them, a last one that says so."""
    number, read = start, 0
    try:
        for row in rows:
            number, read = row.number + 1, row.bytes
            yield row
    except BrokenFileError as error:
        yield Row(number, Rejected(Reason.BROKEN_FILE, str(error)), read)
