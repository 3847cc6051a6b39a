"""The last step: what becomes of every document. It is trained on, held out, or filtered by the first step that did.

Copies of a text share their fate: what is held out is chosen by a hash of the text. Near copies were filtered before
(`duplicates`), so that of a text and its near copies only one is left to be trained on or held out.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
import xxhash

from sapwood.corpus.annotate import OUTPUTS, finish_step, plan_step
from sapwood.corpus.store import DOCUMENTS, REASON, SELECTION, SourceStore, write_shard
from sapwood.runs.manifest import Manifest, begin, finished

TRAIN, HOLDOUT = "train", "holdout"
SPLITS = (TRAIN, HOLDOUT)

_SCHEMA = pa.schema([("split", pa.string()), ("step", pa.string()), (REASON, pa.string())])


@dataclass(frozen=True, slots=True)
class HoldoutRule:
    """Which documents are held out."""

    share: Fraction
    salt: str

    def holds_out(self, text_hash: str) -> bool:
        """Whether the text with this hash is held out: a hash of salt and text, as a fraction of 1, is below the share.

        A larger share holds out the same documents and more.
        """
        place = xxhash.xxh3_64_intdigest(f"{self.salt}\0{text_hash}".encode())
        return place * self.share.denominator < self.share.numerator << 64


def select(store: SourceStore, after: tuple[str, ...], rule: HoldoutRule) -> Manifest:
    """Decides about every document of a source, given what the steps named in `after` said, in that order.

    In the manifest, `counts` has `documents`, `bytes`, `dropped`, `dropped_bytes`, `train`, `train_bytes`, `holdout`
    and `holdout_bytes`; `reasons` counts the dropped by step and reason, as `step: reason`.
    """
    planned = plan_step(
        store, SELECTION, {"after": list(after), "share": str(rule.share), "salt": rule.salt}, {DOCUMENTS, *after}
    )
    target = store.step(SELECTION)
    done = finished(target, planned)
    if done is not None:
        return done
    begin(target, planned, OUTPUTS)
    started = time.monotonic()
    for shard in store.shards():
        path = target / f"{shard}.parquet"
        if not path.exists():
            write_shard(path, *_decide(store, shard, after, rule))
    return finish_step(store, planned, time.monotonic() - started)


def _decide(
    store: SourceStore, shard: str, after: tuple[str, ...], rule: HoldoutRule
) -> tuple[pa.Table, dict[str, Any]]:
    values: dict[str, list[str | None]] = {name: [] for name in _SCHEMA.names}
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for batch in store.read(shard, {DOCUMENTS: ["text", "text_hash"], **{step: [REASON] for step in after}}):
        sizes = [len(text.encode()) for text in batch["text"].to_pylist()]
        verdicts = {step: batch[f"{step}.{REASON}"].to_pylist() for step in after}
        for number, text_hash in enumerate(batch["text_hash"].to_pylist()):
            step = next((step for step in after if verdicts[step][number] is not None), None)
            reason = verdicts[step][number] if step else None
            split = None if step else HOLDOUT if rule.holds_out(text_hash) else TRAIN
            for name, value in (("split", split), ("step", step), (REASON, reason)):
                values[name].append(value)
            fate = split or "dropped"
            counts.update({"documents": 1, "bytes": sizes[number], fate: 1, f"{fate}_bytes": sizes[number]})
            if step:
                reasons[f"{step}: {reason}"] += 1
    return pa.table(values, schema=_SCHEMA), {"counts": dict(counts), "reasons": dict(reasons)}
