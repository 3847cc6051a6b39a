"""Contamination: items that hold a benchmark item, found as in documents."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.corpus.benchmark_index import BenchmarkIndex
from sapwood.corpus.contamination import evidence_of, load_items, reason_of
from sapwood.generation.client import Failure
from sapwood.recipe.data import Decontamination, Normalise
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict


class ContaminationStage(Stage):
    """Items pass that hold no benchmark item in their question, options, reasoning or answer."""

    name = "contamination"

    def __init__(self, settings: Decontamination, normalising: Normalise) -> None:
        """Reads the benchmarks. Raises SapwoodError where there are none, or a line is no JSON object."""
        self.overlap = settings.overlap
        self._index = BenchmarkIndex.build(load_items(settings.benchmarks, normalising), settings.ngram)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        return [self._check("\n".join([item.question, *item.choices, item.reasoning, item.answer])) for item in items]

    def _check(self, text: str) -> Verdict:
        hits = self._index.find(text, self.overlap)
        return Verdict(
            passed=not hits,
            reason=reason_of([hit.benchmark for hit in hits]) if hits else "",
            score=max((hit.overlap for hit in hits), default=None),
            detail={"hits": evidence_of(text, hits)} if hits else {},
        )
