"""A source's documents and all that is said of them: one directory a step, its shards row by row beside each other.

DIRECTORY/documents/00000-00000.parquet      the texts (`document.SCHEMA`)
         /documents/quarantine.jsonl         rows that gave no document
         /STEP/00000-00000.parquet           the step's columns about the same documents, in the same order
         /STEP/manifest.json                 from what, how, and how many

So a new annotation never touches a text, and every step is done, redone and resumed by itself. Every step has the
column `reason`: why it sets a document aside, or null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sapwood.corpus.block import excerpt
from sapwood.errors import SapwoodError
from sapwood.files import read_line, reading, sealed_line, write_atomic
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest, read_manifest, remake

DOCUMENTS = "documents"
"""The step that reads the texts; all others stand beside it."""
SIGNALS, LANGUAGE, QUALITY, SIGNATURES, DUPLICATES = "signals", "language", "quality", "signatures", "duplicates"
CONTAMINATION, TOPICS, PERPLEXITY, TRIM, SELECTION = "contamination", "topics", "perplexity", "trim", "selection"
"""The other steps."""
STEPS = (
    DOCUMENTS,
    SIGNALS,
    LANGUAGE,
    QUALITY,
    SIGNATURES,
    DUPLICATES,
    CONTAMINATION,
    TOPICS,
    PERPLEXITY,
    TRIM,
    SELECTION,
)
"""All of them, in order."""
REASON = "reason"
SHARDS = "[0-9]*-[0-9]*.parquet"
"""The shards of a step; the order of their names is the order of the documents."""
ROW_GROUP = 4096
"""Documents that are read at a time, in every step alike."""

_METADATA = b"sapwood"


class Found(NamedTuple):
    """Where a document came from, and how it begins."""

    origin: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class SourceStore:
    """The prepared documents of one source."""

    directory: Path

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.directory.name

    def step(self, name: str) -> Path:
        """The directory of a step."""
        return self.directory / name

    def manifest(self, step: str) -> Manifest:
        """The account of a step. Raises SapwoodError where it was not finished."""
        found = read_manifest(self.step(step))
        if found is None:
            raise SapwoodError(f"{self.step(step)} is not complete. Run `sapwood prepare` first.")
        return found

    def has(self, step: str) -> bool:
        """Whether a step was finished."""
        return read_manifest(self.step(step)) is not None

    def shards(self) -> list[str]:
        """The names of the shards, in order."""
        return shard_names(self.step(DOCUMENTS))

    def read(self, shard: str, columns: Mapping[str, Sequence[str]]) -> Iterator[dict[str, pa.ChunkedArray]]:
        """Columns of one shard, some thousand documents at a time, by name.

        `columns` are names by step, such as `{"documents": ["id", "text"], "language": ["reason"]}`; what is asked of
        another step than `documents` is called `step.column` in the answer.
        """
        with ExitStack() as stack:
            files = {step: stack.enter_context(open_shard(self.step(step) / f"{shard}.parquet")) for step in columns}
            groups = {file.num_row_groups for file in files.values()}
            rows = {file.metadata.num_rows for file in files.values()}
            if len(groups) > 1 or len(rows) > 1:
                raise SapwoodError(f"The steps of {self.directory} do not fit together in shard {shard}. Remove them.")
            for group in range(max(groups, default=0)):
                batch: dict[str, pa.ChunkedArray] = {}
                for step, names in columns.items():
                    table = read_group(files[step], self.step(step) / f"{shard}.parquet", group, names)
                    for name in names:
                        batch[name if step == DOCUMENTS else f"{step}.{name}"] = table[name]
                yield batch

    def column(self, shard: str, step: str, name: str) -> pa.ChunkedArray:
        """A column of a step of one shard."""
        path = self.step(step) / f"{shard}.parquet"
        with open_shard(path) as file:
            groups = [read_group(file, path, group, [name]) for group in range(file.num_row_groups)]
            return pa.concat_tables(groups)[name] if groups else file.schema_arrow.empty_table()[name]

    def schema(self, shard: str, step: str) -> pa.Schema:
        """The columns that a step has in one shard."""
        with open_shard(self.step(step) / f"{shard}.parquet") as file:
            return file.schema_arrow

    def read_all(self, columns: Mapping[str, Sequence[str]]) -> Iterator[dict[str, pa.ChunkedArray]]:
        """The columns of all shards, in order."""
        for shard in self.shards():
            yield from self.read(shard, columns)

    def find(self, ids: Iterable[str]) -> dict[str, Found]:
        """Looks documents up by `id`. What is not there is left out."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        found: dict[str, Found] = {}
        for shard in self.shards() if len(wanted) else ():
            for batch in self.read(shard, {DOCUMENTS: ["id"]}):
                if pc.any(pc.is_in(batch["id"], wanted)).as_py():
                    break
            else:
                continue
            for batch in self.read(shard, {DOCUMENTS: ["id", "origin", "text"]}):
                table = pa.table(batch)
                for row in table.filter(pc.is_in(table["id"], wanted)).to_pylist():
                    found.setdefault(row["id"], Found(row["origin"], excerpt(row["text"])))
        return found


def from_hexadecimal(column: pa.ChunkedArray, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """A column of hexadecimal digits as numbers, one after the other."""
    return np.frombuffer(bytes.fromhex("".join(column.to_pylist())), kind)


def shard_names(directory: Path) -> list[str]:
    """The shards that a step has written, in order."""
    return sorted(path.stem for path in directory.glob(SHARDS))


def write_shard(path: Path, table: pa.Table, account: Any) -> None:
    """Writes a shard, whole or not at all, with an account of it (as JSON) in its metadata."""
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata({_METADATA: sealed_line(account)})
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True)
    write_atomic(path, sink.getvalue())


def read_account(path: Path) -> Any:
    """What a shard says of itself. Raises SapwoodError where it is damaged."""
    with open_shard(path) as file, reading(path, remake(path.parent)):
        return read_line(file.schema_arrow.metadata[_METADATA])


@contextmanager
def open_shard(path: Path) -> Iterator[pq.ParquetFile]:
    """Opens a shard, whose pages are checked as they are read. Raises SapwoodError where it cannot be opened."""
    with reading(path, remake(path.parent)):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        yield file


def read_group(file: pq.ParquetFile, path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Columns of a row group of the shard in `path`. Raises SapwoodError where they are damaged."""
    with reading(path, remake(path.parent)):
        table = file.read_row_group(group, columns=list(columns))
        missing = set(columns) - set(table.column_names)
        if missing or table.num_rows != file.metadata.row_group(group).num_rows:
            raise ValueError(f"its row group {group} lacks {', '.join(sorted(missing)) or 'rows'}")
        table.validate(full=True)
        return table


def store_of(run: RunDirectory, source: str) -> SourceStore:
    """The documents of a source of a run."""
    return SourceStore(run.documents(source))


def stores_of(run: RunDirectory, recipe: Recipe) -> dict[str, SourceStore]:
    """The documents of every source of a recipe, by its name."""
    return {source: store_of(run, source) for source in recipe.sources}
