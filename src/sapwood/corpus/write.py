"""The last block of the first step: writes documents into Parquet shards, and what was filtered beside them.

Exactly once: a shard appears whole, after the quarantine entries that belong to it, and says how far its task has got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import Document

from sapwood.corpus.block import SCHEMA, START, Block, Position, entry, identify, is_filtered
from sapwood.corpus.formats.encoding import DECLARED
from sapwood.corpus.store import read_account, write_shard
from sapwood.errors import SapwoodError
from sapwood.files import write_atomic
from sapwood.runs.manifest import is_begun

QUARANTINE_PARTS = "[0-9]*-[0-9]*.quarantine.jsonl"


def resume_point(directory: Path, task: int) -> tuple[int, Position]:
    """The number of the task's next shard in `directory`, and where its documents start."""
    number = len(list(directory.glob(f"{task:05d}-*.parquet")))
    if number == 0:
        return 0, START
    return number, reached(_path(directory, task, number - 1))


def reached(shard: Path) -> Position:
    """How far its task had got when the shard was complete."""
    return Position(*read_account(shard)["position"])


class WriteDocuments(Block):
    """Gives every document its `id`, and writes a shard whenever `shard_bytes` of text have come together.

    A task that was killed goes on after its last shard, and writes what it would have written.
    """

    def __init__(self, source: str, directory: Path, shard_bytes: int, attempt: str) -> None:
        super().__init__()
        self.source = source
        self.directory = directory
        self.shard_bytes = shard_bytes
        self.attempt = attempt

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        number, _ = resume_point(self.directory, rank)
        shard = _Shard()
        for document in data or ():
            shard.add(document, self.source)
            if shard.bytes >= self.shard_bytes:
                self._commit(shard, _path(self.directory, rank, number))
                number, shard = number + 1, _Shard()
            yield document
        if shard.counts:
            self._commit(shard, _path(self.directory, rank, number))

    def _commit(self, shard: _Shard, path: Path) -> None:
        if not is_begun(self.directory, self.attempt):
            raise SapwoodError(f"{self.directory} now serves another run with other settings; this one stops.")
        if shard.entries:
            write_atomic(path.with_suffix(".quarantine.jsonl"), b"".join(shard.entries))
        write_shard(path, pa.table(shard.columns, schema=SCHEMA), shard.account())


class _Shard:
    """A shard in the making."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        self.entries: list[bytes] = []
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.bytes = 0
        self.position = START

    def add(self, document: Document, source: str) -> None:
        self.position = document.metadata["position"]
        self.counts["documents_read"] += 1
        if is_filtered(document):
            self.entries.append(entry(source, document))
            self.bytes += len(self.entries[-1])
            self.counts["quarantined"] += 1
            self.reasons[str(document.metadata["reason"])] += 1
            return
        identify(document, source)
        row = {**document.metadata, "id": document.id, "text": document.text}
        for name, values in self.columns.items():
            values.append(row[name])
        size = len(document.text.encode())
        self.bytes += size
        self.counts.update(documents=1, bytes=size)
        if (certainty := document.metadata.get("encoding", DECLARED)) != DECLARED:
            self.counts[f"encoding_{certainty}"] += 1

    def account(self) -> dict[str, Any]:
        return {"position": list(self.position), "counts": dict(self.counts), "reasons": dict(self.reasons)}


def _path(directory: Path, task: int, number: int) -> Path:
    return directory / f"{task:05d}-{number:05d}.parquet"
