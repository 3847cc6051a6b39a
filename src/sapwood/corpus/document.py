"""A prepared document: how it is called, which columns it has in Parquet, and how to find it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from datatrove.data import Document

SHARDS = "documents-*.parquet"
"""The shards of a source; the order of their names is the order of the documents."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("text_hash", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)
"""`id`: 32 hexadecimal digits, a hash of source and text. `origin`: the file and the row in it, counted from 0, as
`FILE#ROW`. `text_hash`: 16 hexadecimal digits, equal for texts that differ only in white space, in whatever source.
`split`: `train` or `holdout`. Blocks may add columns (`Block.columns`)."""

EXCERPT_CHARACTERS = 200


class Position(NamedTuple):
    """How far a task has got: what it reads next if it is stopped here."""

    file: int
    """The file, by its number among the task's files."""
    row: int
    """The next row of that file."""
    bytes: int
    """Bytes of the task's files that were read up to here; for the progress bar alone."""


START = Position(0, 0, 0)


class Found(NamedTuple):
    """Where a document came from, and how it begins."""

    origin: str
    excerpt: str


def new_document(source: str, text: str, origin: str, position: Position) -> Document:
    """A document that has just been read: `id` and `text_hash` follow from its source and text.

    Raises UnicodeEncodeError where the text has a lone surrogate, which UTF-8 cannot express.
    """
    return Document(
        text=text,
        id=xxhash.xxh3_128_hexdigest(f"{source}\0{text}".encode()),
        metadata={
            "origin": origin,
            "text_hash": xxhash.xxh3_64_hexdigest(" ".join(text.split()).encode()),
            "position": position,
        },
    )


def excerpt(text: str) -> str:
    """The beginning of a text, as it is shown to people."""
    return text[:EXCERPT_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def shards(directory: Path) -> list[Path]:
    """The shards of the prepared source in `directory`, in order."""
    return sorted(directory.glob(SHARDS))


def find_documents(directory: Path, ids: Iterable[str]) -> dict[str, Found]:
    """Looks documents up by `id` in the prepared source in `directory`. What is not there is left out."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, Found] = {}
    for path in shards(directory):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                if len(found) == len(wanted):
                    return found
                matches = pc.is_in(file.read_row_group(group, columns=["id"])["id"], wanted)
                if pc.any(matches).as_py():
                    table = file.read_row_group(group, columns=["id", "origin", "text"]).filter(matches)
                    for row in table.to_pylist():
                        found.setdefault(row["id"], Found(row["origin"], excerpt(row["text"])))
    return found


def read_batches(path: Path, columns: list[str], rows: int = 1024) -> Iterator[pa.RecordBatch]:
    """The documents of one shard, some columns of them, a few at a time."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=columns)
