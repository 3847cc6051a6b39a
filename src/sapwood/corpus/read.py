"""The first block: reads the files of a source into documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from datatrove.data import Document

from sapwood.corpus.block import Block, Position, Reason, new_document, rejected_row
from sapwood.corpus.formats import JSON_LINES, PARQUET, Fields, Rejected, Row, format_of, read_rows, until_break
from sapwood.corpus.formats.jsonl import json_rows
from sapwood.corpus.formats.parquet import parquet_rows
from sapwood.corpus.inputs import InputFile, Part, list_files, open_file
from sapwood.corpus.normalise import normalise
from sapwood.corpus.write import resume_point
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Normalise, Source


def sample_texts(name: str, source: Source, settings: Normalise, limit: int) -> list[str]:
    """Documents of a source, normalised as they are when it is prepared: `limit` bytes of UTF-8 at most.

    They are the first of every file, equally much of each as far as there is; the last of a file may be cut short. Rows
    that are no documents are passed over. The same files give the same texts.

    Raises SapwoodError where no file matches, or none holds a text.
    """
    files = list_files(name, source.files)
    script = settings.script if source.language == "zh" else None
    reasons: Counter[str] = Counter()
    texts: list[str] = []
    left = limit
    for number, file in enumerate(files):
        share = left // (len(files) - number)
        for text in _texts(file, Fields(source.text, source.url), reasons):
            content = normalise(text, mojibake=settings.mojibake, script=script).encode()[:share]
            share -= len(content)
            left -= len(content)
            if content:
                texts.append(content.decode(errors="ignore"))
            if not share:
                break
    if not texts:
        found = ", ".join(f"{count} rows: {reason}" for reason, count in reasons.most_common()) or "they are empty"
        raise SapwoodError(f"Source '{name}': there is no text in its {len(files)} files ({found}).")
    return texts


def _texts(file: InputFile, fields: Fields, reasons: Counter[str]) -> Iterator[str]:
    with open_file(file) as stream:
        for row in read_part(stream, Part(file, 0, file.size, 0, file.size), fields, 0):
            if isinstance(row.text, Rejected):
                reasons[row.text.reason] += 1
            else:
                yield row.text


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
