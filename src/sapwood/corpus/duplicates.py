"""Finds documents that were there before, in whatever source: the same text, or nearly the same.

All documents are put into one order, by the priority of their sources; of documents that are copies of each other the
first stays (`copies`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sapwood.corpus.annotate import OUTPUTS, finish_step
from sapwood.corpus.copies import Copies, Numbers, find_copies
from sapwood.corpus.signatures import VALUES, Signatures
from sapwood.corpus.store import DOCUMENTS, DUPLICATES, REASON, SIGNATURES, SourceStore, from_hexadecimal, write_shard
from sapwood.progress import track
from sapwood.recipe.data import Duplicates
from sapwood.runs.manifest import Manifest, begin, finished

SCHEMA = pa.schema(
    [
        pa.field("copy_of", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("similarity", pa.float32()),
        pa.field(REASON, pa.string()),
    ]
)


def find_duplicates(
    stores: Sequence[SourceStore],
    after: Mapping[str, tuple[str, ...]],
    settings: Duplicates,
    evaluation_only: Sequence[str],
) -> dict[str, Manifest]:
    """Runs the step over all sources together, unless that was done before with the same inputs and settings.

    `after` are the steps, by source, whose reasons count: documents that one of them filtered take no part. Of copies
    the one in an evaluation-only source stays, then that in the first source of `settings.priority`, then that in the
    first of `stores`; in one source, the first.

    In the manifests, `counts` and `reasons` are as in `annotate`. Raises SapwoodError where a step before was not done.
    """
    ordered = _by_priority(stores, settings, evaluation_only)
    planned = _plan(ordered, after, settings)
    done = {store.name: finished(store.step(DUPLICATES), planned[store.name]) for store in stores}
    manifests = {name: manifest for name, manifest in done.items() if manifest is not None}
    if len(manifests) == len(stores):
        return manifests
    started = time.monotonic()
    with track("duplicates", sum(store.manifest(DOCUMENTS).counts["documents"] for store in stores)) as advance:
        documents = _load(ordered, after, near=settings.near)
        copies = find_copies(documents.text_hashes, documents.signatures, settings.similarity)
        sizes = np.bincount(copies.keepers, minlength=len(copies.keepers))
        for number, store in enumerate(ordered):
            begin(store.step(DUPLICATES), planned[store.name], OUTPUTS)
            for shard, table, account in _tables(store, number, documents, copies, sizes, [s.name for s in ordered]):
                path = store.step(DUPLICATES) / f"{shard}.parquet"
                if not path.exists():
                    write_shard(path, table, account)
                advance(table.num_rows)
    seconds = (time.monotonic() - started) / len(stores)
    return {store.name: finish_step(store, planned[store.name], seconds) for store in stores}


@dataclass(frozen=True, slots=True)
class _Documents:
    """The documents that take part, in order of priority."""

    text_hashes: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.uint8]
    """`[documents, 16]`"""
    signatures: Signatures | None
    sources: npt.NDArray[np.int32]
    """The number of each one's source."""
    rows: dict[tuple[int, str], tuple[int, npt.NDArray[np.bool_]]]
    """For every source and shard, the number of its first document here, and which of its rows take part."""


def _load(stores: Sequence[SourceStore], after: Mapping[str, tuple[str, ...]], *, near: bool) -> _Documents:
    hashes, ids, signatures, sources = [], [], [], []
    rows: dict[tuple[int, str], tuple[int, npt.NDArray[np.bool_]]] = {}
    reached = 0
    for number, store in enumerate(stores):
        columns = {DOCUMENTS: ["id", "text_hash"], **{step: [REASON] for step in after[store.name]}}
        if near:
            columns[SIGNATURES] = ["signature"]
        for shard in store.shards():
            parts = []
            for batch in store.read(shard, columns):
                alive = np.ones(len(batch["id"]), bool)
                for step in after[store.name]:
                    alive &= batch[f"{step}.{REASON}"].is_null().to_numpy(zero_copy_only=False)
                parts.append(alive)
                chosen = pa.table(batch).filter(pa.array(alive))
                hashes.append(from_hexadecimal(chosen["text_hash"], ">u8").astype(np.uint64))
                ids.append(from_hexadecimal(chosen["id"], np.uint8).reshape(-1, 16))
                if near:
                    values = b"".join(chosen[f"{SIGNATURES}.signature"].to_pylist())
                    signatures.append(np.frombuffer(values, np.uint32).reshape(-1, VALUES))
            taking_part = np.concatenate([np.empty(0, bool), *parts])
            rows[number, shard] = reached, taking_part
            reached += int(taking_part.sum())
            sources.append(np.full(int(taking_part.sum()), number, np.int32))
    return _Documents(
        text_hashes=np.concatenate([np.empty(0, np.uint64), *hashes]),
        ids=np.concatenate([np.empty((0, 16), np.uint8), *ids]),
        signatures=np.concatenate([np.empty((0, VALUES), np.uint32), *signatures]) if near else None,
        sources=np.concatenate([np.empty(0, np.int32), *sources]),
        rows=rows,
    )


def _tables(
    store: SourceStore, number: int, documents: _Documents, copies: Copies, sizes: Numbers, names: Sequence[str]
) -> Iterator[tuple[str, pa.Table, dict[str, Any]]]:
    """What is to be written for every shard of a source: its name, the columns, and the account."""
    for shard in store.shards():
        first, taking_part = documents.rows[number, shard]
        columns: dict[str, list[Any]] = {name: [None] * len(taking_part) for name in SCHEMA.names}
        counts = {"documents": int(taking_part.sum()), "bytes": 0, "dropped": 0, "dropped_bytes": 0}
        reasons: dict[str, int] = defaultdict(int)
        lengths = [
            len(text.encode())
            for batch in store.read(shard, {DOCUMENTS: ["text"]})
            for text in batch["text"].to_pylist()
        ]
        for document, row in enumerate(np.flatnonzero(taking_part).tolist(), first):
            keeper = int(copies.keepers[document])
            columns["cluster_size"][row] = int(sizes[keeper])
            counts["bytes"] += lengths[row]
            if keeper == document:
                continue
            kind = "exact copy" if documents.text_hashes[document] == documents.text_hashes[keeper] else "near copy"
            source = names[documents.sources[keeper]]
            reason = kind if source == store.name else f"{kind} of a document in {source}"
            columns["copy_of"][row] = documents.ids[keeper].tobytes().hex()
            columns["similarity"][row] = float(copies.similarities[document])
            columns[REASON][row] = reason
            reasons[reason] += 1
            counts["dropped"] += 1
            counts["dropped_bytes"] += lengths[row]
        yield shard, pa.table(columns, schema=SCHEMA), {"counts": counts, "reasons": dict(reasons)}


def _by_priority(
    stores: Sequence[SourceStore], settings: Duplicates, evaluation_only: Sequence[str]
) -> list[SourceStore]:
    def rank(store: SourceStore) -> tuple[bool, int]:
        named = settings.priority.index(store.name) if store.name in settings.priority else len(settings.priority)
        return store.name not in evaluation_only, named

    return sorted(stores, key=rank)


def _plan(
    stores: Sequence[SourceStore], after: Mapping[str, tuple[str, ...]], settings: Duplicates
) -> dict[str, Manifest]:
    signed = [SIGNATURES] if settings.near else []
    inputs = {
        f"{store.name}/{step}": store.manifest(step).fingerprint
        for store in stores
        for step in [DOCUMENTS, *signed, *after[store.name]]
    }
    common = {"near": settings.near, "similarity": settings.similarity, "order": [store.name for store in stores]}
    return {
        store.name: Manifest(step=DUPLICATES, inputs=inputs, settings={"source": store.name, **common})
        for store in stores
    }
