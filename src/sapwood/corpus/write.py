"""The last block: writes documents into Parquet shards, and what was set aside beside them, exactly once."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.document import SCHEMA, START, Position
from sapwood.corpus.holdout import HOLDOUT
from sapwood.corpus.quarantine import entry, is_set_aside
from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_atomic

ATTEMPT = "attempt.json"
"""What a directory is being filled with; its `fingerprint` is the one to which every writer there must hold."""

_METADATA = b"sapwood"
_ROW_GROUP = 4096


@dataclass(frozen=True, slots=True)
class ShardAccount:
    """What a shard says about itself, in the metadata of its Parquet file."""

    position: Position
    """How far the task had got when the shard was complete."""
    counts: dict[str, int]
    """`documents_read`, `documents_written`, `held_out`, `quarantined` and `bytes` of text, of this shard."""
    reasons: dict[str, int]
    """Rows set aside since the shard before, by reason."""


def shard_path(directory: Path, task: int, number: int) -> Path:
    """The shard with this number of this task."""
    return directory / f"documents-{task:05d}-{number:05d}.parquet"


def quarantine_part(shard: Path) -> Path:
    """The entries of the quarantine that belong to a shard."""
    return shard.with_name(shard.name.replace("documents-", "quarantine-").replace(".parquet", ".jsonl"))


def read_account(shard: Path) -> ShardAccount:
    """The account of a complete shard."""
    content = orjson.loads(pq.read_metadata(shard).metadata[_METADATA])
    return ShardAccount(Position(*content["position"]), content["counts"], content["reasons"])


def resume_point(directory: Path, task: int) -> tuple[int, Position]:
    """The number of the task's next shard, and where its documents start."""
    number = len(list(directory.glob(shard_path(directory, task, 0).name.replace("00000.parquet", "*.parquet"))))
    if number == 0:
        return 0, START
    return number, read_account(shard_path(directory, task, number - 1)).position


@dataclass(slots=True)
class _Shard:
    """A shard in the making."""

    columns: dict[str, list[Any]]
    entries: list[bytes] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    text_bytes: int = 0
    entry_bytes: int = 0
    held_out: int = 0
    position: Position = START

    @property
    def account(self) -> dict[str, Any]:
        written, quarantined = len(self.columns["id"]), len(self.entries)
        return {
            "position": list(self.position),
            "counts": {
                "documents_read": written + quarantined,
                "documents_written": written,
                "held_out": self.held_out,
                "quarantined": quarantined,
                "bytes": self.text_bytes,
            },
            "reasons": dict(self.reasons),
        }


class WriteDocuments(Block):
    """Writes a shard whenever `shard_bytes` of text have come together.

    A shard appears whole, after the quarantine entries that belong to it, and says how far its task has got. So a task
    that was killed goes on after its last shard, and writes what it would have written.
    """

    def __init__(self, source: str, directory: Path, schema: pa.Schema, shard_bytes: int, attempt: str) -> None:
        super().__init__()
        self.source = source
        self.directory = directory
        self.schema = schema
        self.shard_bytes = shard_bytes
        self.attempt = attempt

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        number, _ = resume_point(self.directory, rank)
        shard = self._new()
        for document in data or ():
            self._add(shard, document)
            if shard.text_bytes + shard.entry_bytes >= self.shard_bytes:
                self._commit(shard, shard_path(self.directory, rank, number))
                number, shard = number + 1, self._new()
            yield document
        if shard.columns["id"] or shard.entries:
            self._commit(shard, shard_path(self.directory, rank, number))

    def _new(self) -> _Shard:
        return _Shard(columns={name: [] for name in self.schema.names})

    def _add(self, shard: _Shard, document: Document) -> None:
        shard.position = document.metadata["position"]
        if is_set_aside(document):
            shard.entries.append(entry(self.source, document))
            shard.entry_bytes += len(shard.entries[-1])
            shard.reasons[str(document.metadata["reason"])] += 1
            return
        row = {**document.metadata, "id": document.id, "text": document.text}
        for name, values in shard.columns.items():
            values.append(row[name])
        shard.text_bytes += len(document.text.encode())
        shard.held_out += row["split"] == HOLDOUT

    def _commit(self, shard: _Shard, path: Path) -> None:
        attempt = self.directory / ATTEMPT
        if not attempt.exists() or read_json(attempt)["fingerprint"] != self.attempt:
            raise SapwoodError(f"{self.directory} now serves another run with other settings; this one stops.")
        if shard.entries:
            write_atomic(quarantine_part(path), b"".join(shard.entries))
        metadata = {_METADATA: orjson.dumps(shard.account)}
        table = pa.table(shard.columns, schema=self.schema.with_metadata(metadata))
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd", row_group_size=_ROW_GROUP)
        write_atomic(path, content.getvalue())


def document_schema(blocks: Iterable[Block]) -> pa.Schema:
    """The columns of prepared documents: those that all have, and those that the blocks add."""
    added = [pa.field(name, kind) for block in blocks for name, kind in block.columns.items()]
    return pa.schema([*SCHEMA, *added])
