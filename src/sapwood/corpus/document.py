"""A document: how it is called, and which columns it has in Parquet."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import xxhash
from datatrove.data import Document

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
