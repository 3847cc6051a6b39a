"""Tables as text, CSV and TSV: a header, and one text a row of a column."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import BinaryIO

from sapwood.corpus.block import Reason, excerpt
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

_BUFFER_BYTES = 1 << 20
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_MARK = "\ufeff"
_WIDE_MARKS = ("\udcff\udcfe", "\udcfe\udcff", "\0\0\udcfe\udcff")


def table_rows(file: BinaryIO, name: str, fields: Fields, start: int, delimiter: str) -> Iterator[Row]:
    """The rows from number `start` on; the header is none of them, and where it comes again it is a rejected one.

    A quote that is never closed would make one field of all that follows. So quotes are read strictly, and a row that
    breaks their rules is judged by its first line alone: it is taken where that ends outside of quotes, and else
    rejected. Either way reading goes on with the next line.
    """
    content = ContentStream(file, name)
    return content.whole(_rows(content, fields, start, delimiter))


def _rows(content: ContentStream, fields: Fields, start: int, delimiter: str) -> Iterator[Row]:
    # Bytes that are not UTF-8 become surrogates, so that only the row they stand in is lost.
    text = io.TextIOWrapper(
        io.BufferedReader(content, _BUFFER_BYTES), encoding="utf-8", errors="surrogateescape", newline=""
    )
    csv.field_size_limit(min(TEXT_BYTES, sys.maxsize))
    records = _records(_Lines(text), content, delimiter)
    header = next(records, None)
    if header is None:
        return
    if isinstance(header, Rejected):
        raise BrokenFileError(f"the header cannot be read: {header.shown}")
    if header[0].startswith(_WIDE_MARKS):
        raise BrokenFileError("the file is in UTF-16 or UTF-32. Write it in UTF-8 (`iconv -f UTF-16 -t UTF-8`)")
    problem = _problem(header, fields, delimiter)
    if problem is not None:
        if start == 0:
            yield Row(0, problem, content.read_bytes)
        return
    column = header.index(fields.text)
    url = header.index(fields.url) if fields.url in header else None
    for number, record in enumerate(records):
        if number < start:
            continue
        if isinstance(record, Rejected):
            yield Row(number, record, content.read_bytes)
            continue
        found = _text(record, column, header)
        place = address(record[url]) if url is not None and isinstance(found, str) else None
        yield Row(number, found, content.read_bytes, place)


class _Lines:
    """Lines, of which some can be put back."""

    def __init__(self, text: Iterator[str]) -> None:
        self.number = 0
        """How many were given."""
        self.ended = False
        self._text = text
        self._back: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else next(self._text, None)
        self.ended = line is None
        if line is None:
            raise StopIteration
        self.number += 1
        return line

    def put_back(self, lines: list[str]) -> None:
        self._back += reversed(lines)
        self.number -= len(lines)


def _records(lines: _Lines, content: ContentStream, delimiter: str) -> Iterator[list[str] | Rejected]:
    """The fields of every row that is not blank; or why they cannot be told apart."""
    taken: list[str] = []

    def kept() -> Iterator[str]:
        for line in lines:
            # Every file that is put behind another brings its own byte order mark.
            taken.append(line if taken else line.lstrip(_MARK))
            yield taken[-1]

    reader = csv.reader(kept(), strict=True, delimiter=delimiter)
    while True:
        taken.clear()
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.ended and content.breaks_off:
                yield Rejected(Reason.OPEN_QUOTE, "")  # a row that the break has cut, which it stands for
                return
            lines.put_back(taken[1:])
            yield _alone(taken[0], delimiter) or _unreadable(taken, lines.number, error)
            reader = csv.reader(kept(), strict=True, delimiter=delimiter)
        else:
            if record:
                yield record


def _alone(line: str, delimiter: str) -> list[str] | None:
    """The fields of a line that breaks the rules of quoting; None where a quote in it is never closed.

    In TSV quotes are then characters like others; in CSV what follows a quoted part belongs to its field, as most
    readers have it.
    """
    lines = iter((line, "\n"))
    try:
        if delimiter == "\t":
            return next(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        record = next(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return None
    return record if next(lines, None) is not None else None


def _unreadable(taken: list[str], number: int, error: csv.Error) -> Rejected:
    long = len(taken) == 1 and len(taken[0]) > csv.field_size_limit()
    return Rejected(Reason.TOO_LONG if long else Reason.OPEN_QUOTE, excerpt(f"line {number}, {error}: {taken[0]}"))


def _problem(header: list[str], fields: Fields, delimiter: str) -> Rejected | None:
    if fields.text not in header:
        shown = shown_columns(map(excerpt, header))
        others = [sign for sign in _DELIMITERS if sign != delimiter and sign in header[0]] if len(header) == 1 else []
        if others:  # written by a program with its own idea of .csv
            wanted = _DELIMITERS[delimiter]
            shown += f" (one column: fields must be separated by {wanted}, and not by {_DELIMITERS[others[0]]})"
        return Rejected(Reason.NO_COLUMN, shown)
    if header.count(fields.text) > 1:
        return Rejected(Reason.TWO_COLUMNS, shown_columns(map(excerpt, header)))
    return None


def _text(record: list[str], column: int, header: list[str]) -> str | Rejected:
    if record == header:
        return Rejected(Reason.HEADER_AGAIN, excerpt(",".join(record)))
    if len(record) != len(header):
        return Rejected(Reason.OTHER_WIDTH, excerpt(f"{len(record)} fields of {len(header)}: " + ",".join(record)))
    found = examine(record[column])
    if isinstance(found, Rejected) and found.reason is Reason.SURROGATE:
        return Rejected(Reason.NOT_UTF8, found.shown)
    return found
