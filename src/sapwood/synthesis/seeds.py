"""From prepared pages to seeds: which pages are written about, and what of each is shown.

The seeds of a discipline have an order, by a hash of page and job: first snippets of all pages before second ones.
Disciplines take turns as long as they have seeds. So a larger job has the seeds of a smaller one, in the same places,
and more. Pages are gone through twice: once to find out which seeds come first, with a number for each and no text,
and once for their texts.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sapwood.corpus.language import identify
from sapwood.corpus.store import DOCUMENTS, REASON, TOPICS, SourceStore
from sapwood.recipe.synthesis import Snippet, Synthesis
from sapwood.synthesis.attempts import Seed
from sapwood.synthesis.disciplines import Disciplines
from sapwood.synthesis.item import Page
from sapwood.synthesis.prompt import prompt_languages
from sapwood.synthesis.references import sentences

Span = tuple[int, int]
"""Where something begins and ends, in characters."""

# Servers take these for what surrounds a passage or a message, wherever they stand.
_MARKS = re.compile(
    r"<(?=/?passage>|[|｜]|/?s>|/?think>|/?END>|/?(?:start|end)_of_turn>|</?SYS>)|\[(?=/?INST\]|/?END\])", re.IGNORECASE
)
_HARMLESS = {"<": "‹", "[": "［"}


def cut(text: str, page: str, settings: Snippet, seed: int) -> list[Span]:
    """Up to `per_page` stretches of the text of the page with this id, none of which overlap.

    Each has as many sentences as the greatest length allows, and at least the least length. With `start: anywhere` the
    sentence it starts with is chosen by a hash of page and seed, among all that can start one.
    """
    found: list[Span] = []
    spans = sentences(text)
    runs = _runs(spans, *settings.characters)
    if settings.start == "beginning" and runs and runs[0][0] > spans[0][0]:
        return []
    while runs and len(found) < settings.per_page:
        place = 0
        if settings.start == "anywhere":
            place = xxhash.xxh3_64_intdigest(f"{seed}\0{page}\0{len(found)}".encode()) % len(runs)
        start, end = runs[place]
        found.append((start, end))
        runs = [run for run in runs if run[1] <= start or run[0] >= end]
    return found


def harmless(text: str) -> str:
    """The text without what would end the passage in a prompt, or a message; of the same length."""
    return _MARKS.sub(lambda mark: _HARMLESS[mark[0]], text)


def _runs(spans: list[Span], least: int, most: int) -> list[Span]:
    """From each sentence on as many as fit, where that is enough."""
    runs: list[Span] = []
    last = 0
    for number, (start, _) in enumerate(spans):
        last = max(last, number)
        while last < len(spans) and spans[last][1] - start <= most:
            last += 1
        if last > number and spans[last - 1][1] - start >= least:
            runs.append((start, spans[last - 1][1]))
    return runs


Keys = npt.NDArray[np.int64]

_HASH_BITS = 48


@dataclass(slots=True)
class PageCounts:
    """What became of the pages."""

    pages: int = 0
    filtered: int = 0
    """By the steps that prepared them."""
    too_short: int = 0
    """They have fewer characters than the shortest snippet."""
    without_discipline: int = 0
    by_discipline: Counter[str] = field(default_factory=Counter)
    """Pages that are left, by discipline."""
    without_snippet: int = 0
    """Pages among these that were looked at and gave none: their sentences are too long, or there is no prompt in their
    language. Only pages whose turn may come are looked at."""

    def to_json(self) -> dict[str, Any]:
        """All counts, by name."""
        counts = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**counts, "by_discipline": dict(self.by_discipline)}


@dataclass(frozen=True, slots=True)
class Choice:
    """The seeds of a job."""

    seeds: list[Seed]
    """In the order in which they are used. Fewer than the job's `items` where the pages have no more."""
    counts: PageCounts


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A page that belongs to a discipline and is long enough."""

    source: str
    id: str
    discipline: str
    row: int
    table: pa.Table

    def column(self, name: str) -> str | None:
        value: str | None = self.table[name][self.row].as_py()
        return value

    def key(self, snippet: int, seed: int) -> int:
        """The place of one of its snippets in the order of its discipline."""
        digest = xxhash.xxh3_64_intdigest(f"{seed}\0{self.id}\0{snippet}".encode())
        return snippet << _HASH_BITS | digest >> (64 - _HASH_BITS)


def choose_seeds(job: Synthesis, stores: Mapping[str, SourceStore], after: Mapping[str, Sequence[str]]) -> Choice:
    """The seeds of a job, as many as it wants items, or as there are: as many of each discipline as pages go round.

    `after` names by source the steps that may have set its pages aside; those are not used. Topics are looked at where
    they were given. Takes memory for the seeds that are chosen, and for a number for as many of every discipline.

    Raises SapwoodError where a step was not finished.
    """
    counts = PageCounts()
    lowest = {name: _Lowest(job.items) for name in job.disciplines}
    cutter = _Cutter(job)
    for candidate in _candidates(job, stores, after, counts):
        keys = [candidate.key(snippet, job.seed) for snippet in range(job.snippet.per_page)]
        ahead = lowest[candidate.discipline]
        if keys[0] > ahead.limit:
            continue
        seeds = cutter.seeds(candidate)
        counts.without_snippet += not seeds
        for key, _ in zip(keys, seeds, strict=False):
            ahead.add(key)
    ordered = [_turns(number, keys.sorted()) for number, keys in enumerate(lowest.values())]
    turns = itertools.islice(heapq.merge(*ordered), job.items)
    places = {(number, key): place for place, (_, number, key) in enumerate(turns)}
    return Choice(_texts(job, stores, after, places, cutter), counts)


def _turns(number: int, keys: Keys) -> Iterator[tuple[int, int, int]]:
    """When each seed of discipline `number` has its turn: the round, then the discipline."""
    return ((place, number, int(key)) for place, key in enumerate(keys))


def _texts(
    job: Synthesis,
    stores: Mapping[str, SourceStore],
    after: Mapping[str, Sequence[str]],
    places: dict[tuple[int, int], int],
    cutter: _Cutter,
) -> list[Seed]:
    """The seeds with these disciplines and keys, each in its place."""
    numbers = {name: number for number, name in enumerate(job.disciplines)}
    found: dict[int, Seed] = {}
    for candidate in _candidates(job, stores, after, PageCounts()):
        keys = [(numbers[candidate.discipline], candidate.key(i, job.seed)) for i in range(job.snippet.per_page)]
        if any(key in places for key in keys):
            for key, seed in zip(keys, cutter.seeds(candidate), strict=False):
                if key in places:
                    found[places.pop(key)] = seed
        if not places:
            break
    return [found[place] for place in sorted(found)]


def _candidates(
    job: Synthesis, stores: Mapping[str, SourceStore], after: Mapping[str, Sequence[str]], counts: PageCounts
) -> Iterator[_Candidate]:
    """All pages that can be written about, in order; the others are counted."""
    disciplines = Disciplines(job.disciplines)
    least = job.snippet.characters[0]
    for source, store in stores.items():
        columns: dict[str, list[str]] = {DOCUMENTS: ["id", "text", "origin", "url"]}
        columns |= {step: [REASON] for step in after[source]}
        if job.sources[source].topics is not None and disciplines.topics_matter:
            columns[TOPICS] = ["topic"]
        for batch in store.read_all(columns):
            table = pa.table(batch)
            batch_size = len(table)
            counts.pages += batch_size
            for step in after[source]:
                table = table.filter(pc.is_null(table[f"{step}.{REASON}"]))
            long = table.filter(pc.greater_equal(pc.utf8_length(table["text"]), least))
            counts.filtered += batch_size - len(table)
            counts.too_short += len(table) - len(long)
            table = long
            ids, urls = table["id"].to_pylist(), table["url"].to_pylist()
            topics = table[f"{TOPICS}.topic"].to_pylist() if TOPICS in columns else [None] * len(table)
            for row, (page, url, topic) in enumerate(zip(ids, urls, topics, strict=True)):
                discipline = disciplines.of(source, url, topic)
                if discipline is None:
                    counts.without_discipline += 1
                else:
                    counts.by_discipline[discipline] += 1
                    yield _Candidate(source, page, discipline, row, table)


class _Cutter:
    """Cuts the seeds of a page."""

    def __init__(self, job: Synthesis) -> None:
        self.job = job
        self.languages = prompt_languages(None if job.prompts is None else Path(job.prompts))

    def seeds(self, page: _Candidate) -> list[Seed]:
        """In order. None where the page has no sentences of the right length, or a language without prompts."""
        text = page.column("text") or ""
        language = self.job.sources[page.source].language or identify(text).language
        if not self.job.languages and language not in self.languages:
            return []
        seeds = []
        for start, end in cut(text, page.id, self.job.snippet, self.job.seed):
            where = Page(
                id=page.id,
                source=page.source,
                origin=page.column("origin") or "",
                url=page.column("url"),
                start=start,
                end=end,
            )
            seeds.append(Seed(page.discipline, harmless(text[start:end]), language, where))
        return seeds


class _Lowest:
    """The lowest of many different numbers, in memory for so many."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.limit = 1 << 62
        """No number above it is among the lowest."""
        self._kept: Keys = np.empty(0, np.int64)
        self._new: list[int] = []

    def add(self, number: int) -> None:
        """Takes in a number, once however often it comes."""
        if number <= self.limit:
            self._new.append(number)
            if len(self._new) > self.count:
                self.sorted()

    def sorted(self) -> Keys:
        """The lowest, in order."""
        self._kept = np.unique(np.concatenate([self._kept, np.array(self._new, np.int64)]))[: self.count]
        self._new.clear()
        if len(self._kept) == self.count:
            self.limit = int(self._kept[-1])
        return self._kept
