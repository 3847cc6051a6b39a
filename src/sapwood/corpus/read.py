"""The first block: reads the files of a source into documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.document import Position, new_document
from sapwood.corpus.formats import JSON_LINES, PARQUET, Fields, Rejected, Row, format_of, read_rows, until_break
from sapwood.corpus.formats.jsonl import json_rows
from sapwood.corpus.formats.parquet import parquet_rows
from sapwood.corpus.inputs import Part, open_file
from sapwood.corpus.quarantine import Reason, rejected_row
from sapwood.corpus.write import resume_point
from sapwood.errors import SapwoodError


class ReadDocuments(Block):
    """Reads every part whose number leaves the task's rank when divided by the number of tasks.

    Starts after the last document that `WriteDocuments` has put into a shard in `directory`. A row that is no document
    becomes a document that is filtered.
    """

    def __init__(self, parts: list[Part], fields: Fields, directory: Path) -> None:
        super().__init__()
        self.parts = parts
        self.fields = fields
        self.directory = directory

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        parts = self.parts[rank::world_size]
        _, start = resume_point(self.directory, rank)
        before = sum(part.size for part in parts[: start.part])
        for number, part in enumerate(parts[start.part :], start=start.part):
            first = start.row if number == start.part else part.row
            try:
                with open_file(part.file) as stream:
                    for row in read_part(stream, part, self.fields, first):
                        yield _document(part, row, Position(number, row.number + 1, before + row.bytes))
            except OSError as error:
                raise SapwoodError(f"{part.file.name} cannot be read: {error}") from error
            before += part.size


def read_part(stream: BinaryIO, part: Part, fields: Fields, start: int) -> Iterator[Row]:
    """The rows of a part from number `start` on, counted in the file. `stream` is the file, just opened."""
    kind = format_of(part.file.name)
    if kind == PARQUET and part.size < part.file.size:
        groups = range(part.start, part.stop)
        return until_break(parquet_rows(stream, part.file.size, fields, start, groups), start)
    if kind in JSON_LINES and part.size < part.file.size:
        stream.seek(part.start)
        rows = json_rows(stream, part.file.name, fields, start, part.row, part.stop - part.start)
        return until_break(rows, start)
    return read_rows(stream, part.file.name, part.file.size, fields, start)


def _document(part: Part, row: Row, position: Position) -> Document:
    origin = f"{part.file.name}#{row.number}"
    if not isinstance(row.text, Rejected):
        document = new_document(row.text, origin, position, row.url)
        document.metadata["encoding"] = row.encoding
        return document
    if row.text.reason is Reason.BROKEN_FILE:
        # Nothing follows a break, so nothing may be read again for it.
        position = Position(position.part + 1, 0, position.bytes)
    return rejected_row(origin, row.text.reason, row.text.shown, position)
