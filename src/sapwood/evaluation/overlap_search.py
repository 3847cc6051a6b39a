"""Looks for benchmark items in some of a run's documents, shard by shard, wherever the recipe's engine runs.

DIRECTORY/documents/SOURCE/00000-00000.npy    which rows of a prepared shard are looked at
         /parts/SOURCE/00000-00000.jsonl      what was found in them: there when the shard is done
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document

from sapwood.arrays import MappedArray, save_array
from sapwood.corpus.annotate import LOGS
from sapwood.corpus.benchmark_index import BenchmarkIndex
from sapwood.corpus.block import Block
from sapwood.corpus.contamination import apply_cuts, evidence_of
from sapwood.corpus.engine import run
from sapwood.corpus.store import CONTAMINATION, DOCUMENTS, SELECTION, SourceStore
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, read_lines, write_lines
from sapwood.mixture.trained import Rows, Shard
from sapwood.recipe.data import Engine
from sapwood.runs.manifest import is_begun, remake

_PARTS = "parts"
OUTPUTS = (DOCUMENTS, _PARTS, LOGS)
"""What it writes: patterns."""


class SearchShards(Block):
    """Looks for the items in the rows of every shard of a task, and writes what it finds as one file."""

    def __init__(
        self,
        corpora: Mapping[str, SourceStore],
        directory: Path,
        index: BenchmarkIndex,
        overlap: float,
        attempt: str,
    ) -> None:
        """`corpora` are the documents by source; `overlap` is the share of an item that a document must hold."""
        super().__init__()
        self.corpora = corpora
        self.directory = directory
        self.index = index
        self.overlap = overlap
        self.attempt = attempt

    def search(self, rows: Mapping[Shard, Rows], engine: Engine) -> list[dict[str, Any]]:
        """Looks at these rows, those of finished shards excepted, and gives all that was found in any.

        Raises SapwoodError where that could not be finished; what is done is kept.
        """
        self._write_rows(rows)
        sizes = {
            self._part(source, shard): (self.corpora[source].step(DOCUMENTS) / f"{shard}.parquet").stat().st_size
            for source, shard in rows
        }
        run(
            [self],
            tasks=len(sizes),
            logs=self.directory / LOGS,
            engine=engine,
            title=f"{self.directory.name}: overlap",
            total=sum(sizes.values()),
            reached=lambda: sum(size for path, size in sizes.items() if path.exists()),
        )
        if not all(path.exists() for path in sizes):
            # A task that is marked as complete would not be run again for a part that somebody removed.
            shutil.rmtree(self.directory / LOGS / "completions", ignore_errors=True)
            raise SapwoodError(f"{self.directory} is not complete; the same command continues.")
        return [line for path in sizes for line in read_lines(path, remake(self.directory))]

    def clean(self) -> None:
        """Removes what is not needed any more once the result is kept elsewhere."""
        for name in (DOCUMENTS, _PARTS):
            shutil.rmtree(self.directory / name, ignore_errors=True)

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for path in sorted((self.directory / DOCUMENTS).glob("*/*.npy"))[rank::world_size]:
            source, shard = path.parent.name, path.stem
            part = self._part(source, shard)
            if part.exists():
                continue
            store = self.corpora[source]
            rows = MappedArray(path, remake(self.directory)).whole()
            found = [find for name, text in read_rows(store, shard, rows) for find in self._find(source, name, text)]
            if not is_begun(self.directory, self.attempt):
                raise SapwoodError(f"{self.directory} now serves another run with other settings; this one stops.")
            write_lines(part, found, sealed=True)
        yield from ()

    def _write_rows(self, rows: Mapping[Shard, Rows]) -> None:
        if not (self.directory / DOCUMENTS).exists():
            with atomic_directory(self.directory / DOCUMENTS) as temporary:
                for (source, shard), chosen in rows.items():
                    (temporary / source).mkdir(exist_ok=True)
                    save_array(temporary / source / f"{shard}.npy", chosen)

    def _part(self, source: str, shard: str) -> Path:
        return self.directory / _PARTS / source / f"{shard}.jsonl"

    def _find(self, source: str, document: str, text: str) -> Iterator[dict[str, Any]]:
        for hit in evidence_of(text, self.index.find(text, self.overlap)):
            place = {"task": hit["benchmark"], "item": hit["item"], "source": source, "document": document}
            yield {**place, "share": hit["overlap"], "excerpt": hit["excerpt"]}


def read_rows(store: SourceStore, shard: str, rows: Rows) -> Iterator[tuple[str, str]]:
    """The ids and the texts of some documents of a shard, as they are trained on: without what is cut out of them."""
    columns = {DOCUMENTS: ["id", "text"]}
    if CONTAMINATION in store.manifest(SELECTION).inputs:
        columns[CONTAMINATION] = ["cuts"]
    first = 0
    for batch in store.read(shard, columns):
        table = pa.table(batch)
        start, stop = np.searchsorted(rows, (first, first + len(table)))
        for row in table.take(pa.array(rows[start:stop] - first)).to_pylist():
            yield row["id"], apply_cuts(row["text"], row.get(f"{CONTAMINATION}.cuts") or [])
        first += len(table)
