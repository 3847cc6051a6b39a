"""Drops the ends of the perplexity distribution of a source, or of each topic in it.

Of Chinese web text the lowest perplexities are templates and lists, which would come first in a curriculum that goes
from easy to hard; the highest are garbage. Perplexities are compared inside a source or a topic alone: across them they
tell kinds of text apart, and not good from bad.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator
from sapwood.corpus.quarantine import set_aside
from sapwood.corpus.store import PERPLEXITY, REASON, TOPICS, TRIM, SourceStore
from sapwood.recipe.data import Trim


class Ends(NamedTuple):
    """Between which values a document stays, in nats per token."""

    low: float
    high: float


def ends_of(values: Iterable[float], settings: Trim) -> Ends:
    """What cuts off the shares `head` and `tail` of the values, rounded down: of few values none is cut off.

    Values equal to the ends stay.

    >>> ends_of([1.0, 2.0, 2.0, 9.0], Trim(head="25%", tail="25%"))
    Ends(low=2.0, high=2.0)
    """
    ordered = sorted(values)
    if not ordered:
        return Ends(-math.inf, math.inf)
    head, tail = (math.floor(share * len(ordered)) for share in (settings.head, settings.tail))
    return Ends(ordered[head], ordered[len(ordered) - 1 - tail])


class TrimCheck(Annotator):
    """Sets aside what lies outside the ends of its group."""

    def __init__(self, ends: Mapping[str | None, Ends], settings: Trim) -> None:
        """`ends` are by topic, or stand under None for the whole source."""
        super().__init__()
        self.ends = dict(ends)
        self.settings = settings

    def annotate(self, document: Document) -> None:
        value = document.metadata["nll"]
        if value is None:
            return
        ends = self.ends[document.metadata["topic"] if self.settings.within == "topic" else None]
        for outside, share, name in (
            (value < ends.low, self.settings.head, "lowest"),
            (value > ends.high, self.settings.tail, "highest"),
        ):
            if outside:
                set_aside(document, f"perplexity among the {name} {float(share):.3g} of its {self.settings.within}")


def trim_step(store: SourceStore, settings: Trim, after: tuple[str, ...]) -> Step:
    """The step that trims a source. Documents that the steps in `after` set aside do not count.

    Raises SapwoodError where the scores or the topics are missing.
    """
    reads: dict[str, list[str]] = {PERPLEXITY: ["nll"]}
    if settings.within == "topic":
        store.manifest(TOPICS)
        reads[TOPICS] = ["topic"]
    store.manifest(PERPLEXITY)
    values: dict[str | None, list[float]] = defaultdict(list)
    for batch in store.read_all({**reads, **{step: [REASON] for step in after}}):
        scores = batch[f"{PERPLEXITY}.nll"].to_pylist()
        topics: list[Any] = batch[f"{TOPICS}.topic"].to_pylist() if TOPICS in reads else [None] * len(scores)
        earlier = [batch[f"{step}.{REASON}"].is_valid().to_pylist() for step in after]
        for number, (value, topic) in enumerate(zip(scores, topics, strict=True)):
            if value is not None and not any(said[number] for said in earlier):
                values[topic].append(value)
    ends = {topic: ends_of(found, settings) for topic, found in values.items()}
    return Step(
        name=TRIM,
        annotator=TrimCheck(ends, settings),
        settings=settings.model_dump(mode="json"),
        after=after,
        reads=reads,
    )
