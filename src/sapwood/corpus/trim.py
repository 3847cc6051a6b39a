"""Drops the ends of the perplexity distribution of a source, or of each topic in it.

The lowest perplexities of web text are templates, lists and licences, which would come first in a curriculum that goes
from easy to hard; the highest are garbage. Perplexities are compared inside a source or a topic alone: across them they
tell languages and kinds of text apart, and not good from bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator
from sapwood.corpus.quarantine import filter_out
from sapwood.corpus.store import DOCUMENTS, PERPLEXITY, REASON, TOPICS, TRIM, SourceStore
from sapwood.recipe.data import Trim

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
