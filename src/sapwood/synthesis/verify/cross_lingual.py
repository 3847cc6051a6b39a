"""Across languages: benchmark items that an item repeats in another language or in other words, where no n-gram of the
original is left. The nearest ones are found first, and a model then says whether the two are the same question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sapwood.corpus.benchmark_index import BenchmarkIndex
from sapwood.corpus.benchmark_index import Item as BenchmarkItem
from sapwood.corpus.contamination import evidence_of, load_items, reason_of
from sapwood.corpus.ngrams import tokenise
from sapwood.generation.client import Failure
from sapwood.generation.embed import Embedded
from sapwood.progress import console
from sapwood.recipe.data import Decontamination, Normalise
from sapwood.recipe.synthesis import CrossLingual
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict
from sapwood.synthesis.verify.near_duplicates import Embed, Neighbours, asked
from sapwood.synthesis.verify.replies import Asker, Question, Replies, word_of


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


NGRAM = 3
"""Words in a row by which a translation is compared with benchmarks."""
OVERLAP = 0.1
"""The share of a benchmark text's n-grams that make it a candidate. Translations agree in names, numbers and terms."""

_SHORTEST = 5
"""Tokens of a benchmark text that is compared by its meaning."""
_SHOWN_CHARACTERS = 3000
"""Of a benchmark item, to the judge."""

_TEXTS_PER_ITEM = 4
"""Texts of one benchmark item that may be among the nearest: question, options, solution."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The benchmark items that are nearest to an item."""

    numbers: list[int]
    nearness: list[float]
    replies: Replies = field(default_factory=Replies)
    """What was asked to find them."""


class CrossLingualStage(Stage):
    """Items pass of which the judge says that none of the nearest benchmark items is the same question."""

    name = "cross_lingual"

    def __init__(
        self, settings: CrossLingual, benchmarks: Sequence[BenchmarkItem], embed: Embed, own: Path | None = None
    ) -> None:
        """`embed` is called where the settings name a server of embeddings; `own` are prompts of one's own."""
        self.settings = settings
        self.benchmarks = benchmarks
        self.asker = Asker(settings.judge, settings.sampling, own)
        self._search = (
            _ByWords(settings.candidates, benchmarks, self.asker)
            if settings.embedding is None
            else _ByMeaning(settings.candidates, benchmarks, partial(embed, settings.embedding))
        )

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        if not items:
            return []
        found = self._search.nearest(items, ask)
        questions = [
            [] if isinstance(candidates, Failure) else [self._question(item, number) for number in candidates.numbers]
            for item, candidates in zip(items, found, strict=True)
        ]
        replies = self.asker.get(questions, ask)
        return [
            candidates
            if isinstance(candidates, Failure)
            else reply
            if isinstance(reply, Failure)
            else self._verdict(candidates, reply)
            for candidates, reply in zip(found, replies, strict=True)
        ]

    def _question(self, item: Item, number: int) -> Question:
        return self.asker.question("check-same", item.language, {"question": asked(item), "other": self._shown(number)})

    def _shown(self, number: int) -> str:
        return "\n".join(self.benchmarks[number].texts)[:_SHOWN_CHARACTERS]

    def _verdict(self, candidates: _Candidates, replies: Replies) -> Verdict:
        words = [word_of(sections) for sections in replies.sections]
        evidence: list[dict[str, Any]] = [
            {
                "benchmark": self.benchmarks[number].benchmark,
                "item": self.benchmarks[number].number,
                "nearness": nearness,
                "judge": word,
                "text": self._shown(number) if word == "yes" else "",
            }
            for number, nearness, word in zip(candidates.numbers, candidates.nearness, words, strict=True)
        ]
        same = [row["benchmark"] for row in evidence if row["judge"] == "yes"]
        return Verdict(
            passed=not same,
            reason=reason_of(same) if same else "",
            score=max(candidates.nearness, default=None),
            detail={"candidates": evidence},
            prompt_tokens=candidates.replies.prompt_tokens + replies.prompt_tokens,
            completion_tokens=candidates.replies.completion_tokens + replies.completion_tokens,
        )


class _ByMeaning:
    """Candidates by embeddings."""

    def __init__(
        self, count: int, benchmarks: Sequence[BenchmarkItem], embed: Callable[[Sequence[str]], Embedded | Failure]
    ) -> None:
        self._count = count
        self._embed = embed
        self._items = benchmarks
        self._texts = [
            (number, text[:_SHOWN_CHARACTERS])
            for number, item in enumerate(benchmarks)
            for text in item.texts
            if len(tokenise(text).hashes) >= _SHORTEST
        ]
        self._neighbours = Neighbours()

    def nearest(self, items: Sequence[Item], ask: Ask) -> list[_Candidates | Failure]:
        embedded = self._embed([asked(item) for item in items])
        if len(self._neighbours) < len(self._texts):
            benchmarks = self._embed([text for _, text in self._texts])
            if isinstance(benchmarks, Failure):
                return [benchmarks] * len(items)
            self._leave_out(benchmarks.failures)
            self._neighbours.add(benchmarks.vectors)
        if isinstance(embedded, Failure):
            return [embedded] * len(items)
        found: dict[int, _Candidates | Failure] = dict(embedded.failures)
        left = [number for number in range(len(items)) if number not in found]
        if left:
            rows, cosines = self._neighbours.nearest(embedded.vectors, self._count * _TEXTS_PER_ITEM)
            for number, texts, values in zip(left, rows.tolist(), cosines.tolist(), strict=True):
                best: dict[int, float] = {}
                for text, cosine in zip(texts, values, strict=True):
                    best.setdefault(self._texts[text][0], cosine)
                found[number] = _Candidates(list(best)[: self._count], list(best.values())[: self._count])
        return [found[number] for number in range(len(items))]

    def _leave_out(self, failures: Mapping[int, Failure]) -> None:
        """Compares nothing with benchmark texts that have no vector, and says so."""
        for number, failure in failures.items():
            benchmark = self._items[self._texts[number][0]]
            console.print(
                f"Nothing is compared by meaning with item {benchmark.number} of {benchmark.benchmark}: "
                f"{failure.reason}",
                style="yellow",
            )
        self._texts = [text for number, text in enumerate(self._texts) if number not in failures]


class _ByWords:
    """Candidates by the words of the question and of its translation."""

    def __init__(self, count: int, benchmarks: Sequence[BenchmarkItem], asker: Asker) -> None:
        self._count = count
        self._asker = asker
        self._index = BenchmarkIndex.build(benchmarks, NGRAM)
        self._numbers = {(item.benchmark, item.number): number for number, item in enumerate(benchmarks)}

    def nearest(self, items: Sequence[Item], ask: Ask) -> list[_Candidates | Failure]:
        questions = [
            [self._asker.question("check-translation", item.language, {"question": asked(item)})] for item in items
        ]
        replies = self._asker.get(questions, ask)
        return [
            reply if isinstance(reply, Failure) else self._candidates(item, reply)
            for item, reply in zip(items, replies, strict=True)
        ]

    def _candidates(self, item: Item, replies: Replies) -> _Candidates:
        best: dict[int, float] = defaultdict(float)
        for text in (asked(item), *(sections["translation"] for sections in replies.sections if sections)):
            for hit in self._index.find(text, OVERLAP):
                number = self._numbers[hit.benchmark, hit.item]
                best[number] = max(best[number], hit.overlap)
        nearest = sorted(best, key=lambda number: (-best[number], number))[: self._count]
        return _Candidates(nearest, [best[number] for number in nearest], replies)
