"""The first block: reads the files of a source into documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.document import Position, new_document
from sapwood.corpus.inputs import InputFile, open_file
from sapwood.corpus.quarantine import Reason, rejected_row
from sapwood.corpus.rows import Rejected, Row, read_rows
from sapwood.corpus.write import resume_point


class ReadDocuments(Block):
    """Reads every file whose number leaves the task's rank when divided by the number of tasks.

    Starts after the last document that `WriteDocuments` has put into a shard in `directory`. A row that is no document
    becomes a document that is set aside.
    """

    def __init__(self, source: str, files: list[InputFile], column: str, directory: Path) -> None:
        super().__init__()
        self.source = source
        self.files = files
        self.column = column
        self.directory = directory

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        files = self.files[rank::world_size]
        _, start = resume_point(self.directory, rank)
        before = sum(file.size for file in files[: start.file])
        for number, file in enumerate(files[start.file :], start=start.file):
            with open_file(file) as stream:
                first = start.row if number == start.file else 0
                for row in read_rows(stream, file.url, file.size, self.column, first):
                    yield self._document(file, row, Position(number, row.number + 1, before + row.bytes))
            before += file.size

    def _document(self, file: InputFile, row: Row, position: Position) -> Document:
        origin = f"{file.name}#{row.number}"
        if not isinstance(row.text, Rejected):
            return new_document(self.source, row.text, origin, position)
        if row.text.reason is Reason.BROKEN_FILE:
            # Nothing follows a break, so nothing may be read again for it.
            position = Position(position.file + 1, 0, position.bytes)
        return rejected_row(origin, row.text.reason, row.text.shown, position)
