"""Runs a step that looks at one document at a time over all documents of a source, and keeps what it says."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from datatrove.data import Document

from sapwood import __version__
from sapwood.corpus.block import Annotator, Block, filter_out, is_filtered
from sapwood.corpus.engine import run
from sapwood.corpus.store import DOCUMENTS, REASON, SHARDS, SourceStore, read_account, shard_names, write_shard
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine
from sapwood.runs.manifest import Manifest, begin, finished, is_begun

LOGS = "logs"
OUTPUTS = (SHARDS, LOGS)
"""What a step writes beside its manifest."""

_EARLIER = "filtered by an earlier step"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be said of the documents, by whom, and what that depends on."""

    name: str
    annotator: Annotator
    settings: dict[str, Any]
    """Everything that decides what the annotator says, beside the documents."""
    after: tuple[str, ...] = ()
    """The steps whose reasons count: documents that one of them filtered are not looked at."""
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns of other steps that the annotator finds among the document's metadata, by step."""


def annotate(store: SourceStore, step: Step, engine: Engine) -> Manifest:
    """Runs the step over the documents of the source, unless that was done before with the same inputs and settings.

    In the manifest, `counts` has `documents` and `bytes` (of those looked at), `dropped` and `dropped_bytes`; `reasons`
    counts the dropped by reason.

    Raises SapwoodError where a step that this one depends on was not finished, and what the annotator raises.
    """
    planned = plan(store, step)
    target = store.step(step.name)
    done = finished(target, planned)
    if done is not None:
        return done
    begin(target, planned, OUTPUTS)
    started = time.monotonic()
    sizes = {name: (store.step(DOCUMENTS) / f"{name}.parquet").stat().st_size for name in store.shards()}
    run(
        [AnnotateShards(store, step, planned.fingerprint)],
        tasks=len(sizes),
        logs=target / LOGS,
        engine=engine,
        title=f"{store.name}: {step.name}",
        total=sum(sizes.values()),
        reached=lambda: sum(sizes.get(name, 0) for name in shard_names(target)),
    )
    return finish_step(store, planned, time.monotonic() - started)


def plan(store: SourceStore, step: Step) -> Manifest:
    """What the manifest of a step will be, before it has run."""
    return plan_step(store, step.name, step.settings, {DOCUMENTS, *step.after, *step.reads})


def plan_step(store: SourceStore, name: str, settings: dict[str, Any], depends: Iterable[str]) -> Manifest:
    """What the manifest of a step will be, before it has run: it depends on the steps named."""
    inputs = {other: store.manifest(other).fingerprint for other in sorted(depends)}
    return Manifest(step=name, inputs=inputs, settings={"source": store.name, **settings})


def finish_step(store: SourceStore, planned: Manifest, seconds: float) -> Manifest:
    """Adds up the accounts of a step's shards and writes its manifest. Raises SapwoodError where one is missing."""
    target = store.step(planned.step)
    if shard_names(target) != store.shards():
        # A task that is marked as complete would not be run again for a shard that somebody removed.
        shutil.rmtree(target / LOGS / "completions", ignore_errors=True)
        raise SapwoodError(
            f"{target} is not complete; the same command continues. What went wrong is in {target / LOGS}"
        )
    counts: Counter[str] = Counter({"documents": 0, "bytes": 0, "dropped": 0, "dropped_bytes": 0})
    reasons: Counter[str] = Counter()
    for shard in store.shards():
        account = read_account(target / f"{shard}.parquet")
        counts.update(account["counts"])
        reasons.update(account["reasons"])
    manifest = replace(
        planned,
        counts=dict(counts),
        reasons=dict(reasons),
        versions={"sapwood": __version__},
        seconds=round(seconds, 3),
    )
    manifest.write(target, SHARDS)
    return manifest


class AnnotateShards(Block):
    """Passes the documents of every shard of a task through the annotator, and writes what it says as one file."""

    def __init__(self, store: SourceStore, step: Step, attempt: str) -> None:
        super().__init__()
        self.store = store
        self.step = step
        self.attempt = attempt

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        target = self.store.step(self.step.name)
        for shard in self.store.shards()[rank::world_size]:
            path = target / f"{shard}.parquet"
            if path.exists():
                continue
            said = Columns(self.step.annotator.columns)
            for document in self.step.annotator.run(read_documents(self.store, shard, self.step), rank, world_size):
                said.add(document)
                yield document
            if not is_begun(target, self.attempt):
                raise SapwoodError(f"{target} now serves another run with other settings; this one stops.")
            write_shard(path, said.table(), said.account())


def read_documents(store: SourceStore, shard: str, step: Step) -> Iterator[Document]:
    """The documents of a shard as a step finds them; those that an earlier step filtered are marked as that."""
    columns = {DOCUMENTS: ["id", "text", "origin", "url"]}
    for name in step.after:
        columns[name] = [REASON]
    for name, reads in step.reads.items():
        columns[name] = sorted({*columns.get(name, ()), *reads})
    for batch in store.read(shard, columns):
        values = {name: column.to_pylist() for name, column in batch.items()}
        read = {column: values[f"{name}.{column}"] for name, reads in step.reads.items() for column in reads}
        reasons = [values[f"{name}.{REASON}"] for name in step.after]
        for row, (text, number) in enumerate(zip(values["text"], values["id"], strict=True)):
            metadata = {"source": store.name, "origin": values["origin"][row], "url": values["url"][row]}
            metadata |= {column: found[row] for column, found in read.items()}
            document = Document(text=text, id=number, metadata=metadata)
            if any(found[row] is not None for found in reasons):
                filter_out(document, _EARLIER)
            yield document


class Columns:
    """What is said of the documents of one shard, and the account of it."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.schema = pa.schema([*(pa.field(name, kind) for name, kind in columns.items()), (REASON, pa.string())])
        self.values: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, document: Document) -> None:
        """Takes what the document's metadata say."""
        earlier = document.metadata.get(REASON) == _EARLIER
        reason = None if earlier else document.metadata.get(REASON)
        for name, values in self.values.items():
            values.append(reason if name == REASON else None if earlier else document.metadata.get(name))
        if not earlier:
            size = len(document.text.encode())
            self.counts["documents"] += 1
            self.counts["bytes"] += size
            if is_filtered(document):
                self.counts["dropped"] += 1
                self.counts["dropped_bytes"] += size
                self.reasons[str(reason)] += 1

    def table(self) -> pa.Table:
        """The columns, `reason` last."""
        return pa.table(self.values, schema=self.schema)

    def account(self) -> dict[str, Any]:
        """Counts and reasons, for the shard's metadata."""
        return {"counts": dict(self.counts), "reasons": dict(self.reasons)}
