"""The last step: what becomes of every document. It is trained on, held out, or filtered by the first step that did.

Duplicates of a text share their fate: what is held out is chosen by a hash of the text. Near-duplicates were filtered
before (`duplicates`), so that of a text and its near-duplicates only one is left to be trained on or held out.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datatrove.data import Document

from sapwood.corpus.annotate import OUTPUTS, Step, finish_step, plan_step
from sapwood.corpus.block import Annotator, filter_out
from sapwood.corpus.store import DOCUMENTS, PERPLEXITY, REASON, SELECTION, TOPICS, TRIM, SourceStore, write_shard
from sapwood.recipe.data import Trim
from sapwood.runs.manifest import Manifest, begin, finished

Place = tuple[float, str]
"""Where a document stands in the order: by nats per token, and by id among equals."""


class Ends(NamedTuple):
    """The first and the last place that stay."""

    first: Place
    last: Place


def ends_of(values: npt.NDArray[np.float64], ids: npt.NDArray[np.str_], settings: Trim) -> Ends:
    """What cuts off the shares `head` and `tail` of the documents, to the document, rounded down: of few none.

    `values` are nats per token, `[documents]`. Among equal values those with the smaller ids come first.

    >>> ends_of(np.array([2.0, 9.0, 2.0, 1.0]), np.array(["d", "c", "b", "a"]), Trim(head="50%", tail="25%"))
    Ends(first=(2.0, 'd'), last=(2.0, 'd'))
    """
    head, tail = (math.floor(share * len(values)) for share in (settings.head, settings.tail))
    order = np.lexsort((ids, values))
    first, last = order[head], order[len(values) - 1 - tail]
    return Ends((float(values[first]), str(ids[first])), (float(values[last]), str(ids[last])))


class TrimCheck(Annotator):
    """Sets aside what lies outside the ends of its group."""

    def __init__(self, ends: Mapping[str | None, Ends], settings: Trim, within: str) -> None:
        """`ends` are by topic, or stand under None for the whole source; `within` is what the groups are called."""
        super().__init__()
        self.ends = dict(ends)
        self.settings = settings
        self.within = within

    def annotate(self, document: Document) -> None:
        value = document.metadata["nll"]
        if value is None:
            return
        ends, place = self.ends[document.metadata.get("topic")], (value, document.id)
        if place < ends.first:
            filter_out(document, f"perplexity among the lowest {_percent(self.settings.head)} of its {self.within}")
        elif place > ends.last:
            filter_out(document, f"perplexity among the highest {_percent(self.settings.tail)} of its {self.within}")


def trim_step(store: SourceStore, settings: Trim, after: tuple[str, ...]) -> Step:
    """The step that trims a source. Documents that the steps in `after` filtered, or that have no score, do not count.

    A source whose documents have no topics is trimmed as a whole. Raises SapwoodError where the scores are missing.
    """
    store.manifest(PERPLEXITY)
    by_topic = settings.within == "topic" and store.has(TOPICS)
    reads = {PERPLEXITY: ["nll"], **({TOPICS: ["topic"]} if by_topic else {})}
    scores = _read(store, after, by_topic=by_topic)
    ends = {}
    for topic in scores["topic"].unique().to_pylist():
        group = scores.filter(pc.is_in(scores["topic"], pa.array([topic], pa.string())))
        ids = np.array(group["id"].to_pylist(), np.str_)
        ends[topic] = ends_of(group["nll"].to_numpy(), ids, settings)
    return Step(
        name=TRIM,
        annotator=TrimCheck(ends, settings, "topic" if by_topic else "source"),
        settings=settings.model_dump(mode="json"),
        after=after,
        reads=reads,
    )


def _read(store: SourceStore, after: tuple[str, ...], *, by_topic: bool) -> pa.Table:
    """Id, score and topic of the documents that count; the topic is null where it is not asked for."""
    columns = {DOCUMENTS: ["id"], PERPLEXITY: ["nll"], **{step: [REASON] for step in after}}
    if by_topic:
        columns[TOPICS] = ["topic"]
    schema = pa.schema([("id", pa.string()), ("nll", pa.float64()), ("topic", pa.string())])
    tables = [schema.empty_table()]
    for batch in store.read_all(columns):
        counts = batch[f"{PERPLEXITY}.nll"].is_valid()
        for step in after:
            counts = pc.and_(counts, batch[f"{step}.{REASON}"].is_null())
        topic = batch[f"{TOPICS}.topic"] if by_topic else pa.nulls(len(counts), pa.string())
        table = pa.table([batch["id"], batch[f"{PERPLEXITY}.nll"], topic], schema=schema)
        tables.append(table.filter(counts))
    return pa.concat_tables(tables)


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):.4g}%"


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
        # What a text takes as UTF-8, as it lies there: no text becomes a string of Python.
        sizes = pc.binary_length(batch["text"]).to_pylist()
        verdicts = {step: batch[f"{step}.{REASON}"].to_pylist() for step in after}
        for number, (size, text_hash) in enumerate(zip(sizes, batch["text_hash"].to_pylist(), strict=True)):
            step = next((step for step in after if verdicts[step][number] is not None), None)
            reason = verdicts[step][number] if step else None
            split = None if step else HOLDOUT if rule.holds_out(text_hash) else TRAIN
            for name, value in (("split", split), ("step", step), (REASON, reason)):
                values[name].append(value)
            fate = split or "dropped"
            for name, amount in (("documents", 1), ("bytes", size), (fate, 1), (f"{fate}_bytes", size)):
                counts[name] += amount
            if step:
                reasons[f"{step}: {reason}"] += 1
    return pa.table(values, schema=_SCHEMA), {"counts": dict(counts), "reasons": dict(reasons)}
