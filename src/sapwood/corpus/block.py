"""What all steps through which documents pass have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import orjson
import pyarrow as pa
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from sapwood.files import reading
from sapwood.runs.manifest import remake

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("text_hash", pa.string(), nullable=False),
    ]
)
"""`id`: 32 hexadecimal digits, a hash of source and text. `origin`: the file and the row in it, counted from 0, as
`FILE#ROW`. `url`: the address it was found at, where that is known. `text_hash`: 16 hexadecimal digits, equal for texts
that differ only in white space, in whatever source. All else that is said of a document stands in columns beside these
(`sapwood.corpus.store`)."""

EXCERPT_CHARACTERS = 200


class Position(NamedTuple):
    """How far a task has got: what it reads next if it is stopped here."""

    part: int
    """The part of a file, by its number among the task's parts."""
    row: int
    """The next row, counted in the file."""
    bytes: int
    """Bytes of the task's parts that were read up to here; for the progress bar alone."""


START = Position(0, 0, 0)


def new_document(text: str, origin: str, position: Position, url: str | None = None) -> Document:
    """A document that has just been read. It has no `id` before its text is final (`identify`)."""
    return Document(text=text, id="", metadata={"origin": origin, "url": url, "position": position})


def identify(document: Document, source: str) -> None:
    """Sets `id` and `text_hash`, which follow from source and text."""
    document.id = xxhash.xxh3_128_hexdigest(f"{source}\0{document.text}".encode())
    document.metadata["text_hash"] = xxhash.xxh3_64_hexdigest(" ".join(document.text.split()).encode())


def excerpt(text: str) -> str:
    """The beginning of a text, as it is shown to people."""
    return text[:EXCERPT_CHARACTERS].encode("utf-8", "backslashreplace").decode()


QUARANTINE = "quarantine.jsonl"


class Reason(StrEnum):
    """Why a row cannot be read as a document. Other blocks have reasons of their own, in words like these."""

    BROKEN_JSON = "broken JSON"
    NOT_AN_OBJECT = "not a JSON object"
    NO_COLUMN = "no text column"
    TWO_COLUMNS = "several text columns"
    NOT_A_STRING = "text is not a string"
    EMPTY = "empty text"
    NOT_UTF8 = "not UTF-8"
    SURROGATE = "lone surrogate"
    TOO_LONG = "text too long"
    OTHER_WIDTH = "not as many fields as the header"
    OPEN_QUOTE = "quote never closed"
    HEADER_AGAIN = "header repeated"
    BROKEN_PAGE = "page cannot be read"
    NO_ENCODING = "page in no known encoding"
    NO_ARTICLE = "page without a text"
    NOT_HTML = "not a web page"
    NOT_FOUND = "page was not found"
    BROKEN_FILE = "broken or truncated file"


def rejected_row(origin: str, reason: str, shown: str, position: Position) -> Document:
    """What stands for a row that is no document, on its way to the quarantine."""
    return Document(text="", id="", metadata={"origin": origin, "position": position, "reason": reason, "shown": shown})


def filter_out(document: Document, reason: str) -> None:
    """Marks a document as not to be used; the first reason stays."""
    document.metadata.setdefault("reason", reason)
    document.metadata.setdefault("shown", excerpt(document.text))


def is_filtered(document: Document) -> bool:
    """Whether a document is on its way to the quarantine."""
    return "reason" in document.metadata


def entry(source: str, document: Document) -> bytes:
    """The line of the quarantine about a document that was filtered."""
    file, _, row = document.metadata["origin"].rpartition("#")
    return orjson.dumps(
        {
            "source": source,
            "file": file,
            "row": int(row),
            "reason": document.metadata["reason"],
            "excerpt": document.metadata["shown"],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def read_quarantine(directory: Path) -> Iterator[dict[str, Any]]:
    """The entries about the prepared source in `directory`: `source`, `file`, `row`, `reason`, `excerpt`."""
    path = directory / QUARANTINE
    with reading(path, remake(directory)), path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


class Block(PipelineStep):  # type: ignore[misc]
    """A datatrove step that keeps three promises, on which exact accounts and resumption rest.

    It yields every document that it receives, in the order received: what is not wanted is marked with
    `quarantine.filter_out` and passed on, and what was filtered before is passed on untouched. What it does to a
    document follows from the document and the block's settings alone.
    """

    type = "Sapwood"

    @property
    def name(self) -> str:
        """How datatrove's logs call the block."""
        return type(self).__name__

    @abstractmethod
    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Documents in, documents out; `rank` is the number of the task among `world_size`."""


class Annotator(Block):
    """A block that looks at one document at a time, says something about it in columns, and may set it aside."""

    columns: ClassVar[Mapping[str, Any]] = {}
    """What it says: names among the document's metadata, and their pyarrow types. Null for documents that were set
    aside before."""

    @abstractmethod
    def annotate(self, document: Document) -> None:
        """Writes the columns into `document.metadata`, and calls `filter_out` if the document is not wanted."""

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data or ():
            if not is_filtered(document):
                self.annotate(document)
            yield document
