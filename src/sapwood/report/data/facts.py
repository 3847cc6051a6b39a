"""What is known of the documents of a run, added up from the columns that the steps have written; no text is read."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from sapwood.corpus.block import read_quarantine
from sapwood.corpus.prepare import VERDICTS, steps_of, verdicts
from sapwood.corpus.store import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    LANGUAGE,
    PERPLEXITY,
    SELECTION,
    SIGNALS,
    TOPICS,
    Found,
    SourceStore,
    stores_of,
)
from sapwood.files import read_json
from sapwood.recipe.schema import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest

SAMPLES = 4
"""Documents, or rows, of every source that are kept for each reason."""
HITS = 40
CLUSTERS = 8

_COLUMNS = {
    SIGNALS: ["tokens", "compression_ratio"],
    LANGUAGE: ["language"],
    DUPLICATES: ["copy_of", "cluster_size"],
    CONTAMINATION: ["hits"],
    TOPICS: ["topic"],
    PERPLEXITY: ["nll", "bits_per_byte"],
}


class Tally(NamedTuple):
    """Documents, and the tokens in them."""

    documents: int = 0
    tokens: int = 0

    def plus(self, tokens: int) -> Tally:
        """One more document."""
        return Tally(self.documents + 1, self.tokens + tokens)


class Smallest:
    """The items with the smallest keys, of all that were offered: with hashes for keys, a fair sample."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._heap: list[tuple[int, Any]] = []
        self.seen = 0

    def offer(self, key: str, item: Any) -> None:
        """Keeps the item if its key, in hexadecimal digits, is small enough."""
        self.seen += 1
        entry = (-int(key[:15], 16), self.seen, item)
        if len(self._heap) < self.count:
            heapq.heappush(self._heap, entry)  # type: ignore[misc]
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)  # type: ignore[misc]

    def items(self) -> list[Any]:
        """What was kept, smallest key first."""
        return [item for *_, item in sorted(self._heap, reverse=True)]


@dataclass
class SourceFacts:
    """One source."""

    name: str
    store: SourceStore
    steps: tuple[str, ...]
    """The steps that may set its documents aside, in order."""
    manifests: dict[str, Manifest]
    """Of all steps that the recipe asks for and that were finished."""
    fates: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    """By step that set documents aside, `holdout` or `train`."""
    reasons: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    samples: dict[tuple[str, str], Smallest] = field(default_factory=lambda: defaultdict(lambda: Smallest(SAMPLES)))
    """Ids of documents that were filtered, by step and reason."""
    unreadable_rows: dict[str, Smallest] = field(default_factory=lambda: defaultdict(lambda: Smallest(SAMPLES)))
    """Rows that gave no document (`Found`), by reason."""
    languages: Counter[str] = field(default_factory=Counter)
    topics: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    """Of the documents that are kept."""
    lengths: list[int] = field(default_factory=list)
    """Tokens of every document that is kept."""
    compression: list[float] = field(default_factory=list)
    bits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Bits per byte of the scored documents, by topic; by an empty word where there are no topics."""
    nll: list[float] = field(default_factory=list)
    cluster_sizes: Counter[int] = field(default_factory=Counter)
    """Of the documents that stay for others, or alone."""
    clusters: list[tuple[int, str]] = field(default_factory=list)
    """The largest: how many documents, and which of them stays."""
    hits: Counter[str] = field(default_factory=Counter)
    """Documents by benchmark of which they hold an item."""
    evidence: Smallest = field(default_factory=lambda: Smallest(HITS))

    @property
    def read(self) -> int:
        """Rows that were read."""
        return self.manifests[DOCUMENTS].counts["documents_read"]

    @property
    def unreadable(self) -> int:
        """Rows that gave no document."""
        return self.manifests[DOCUMENTS].counts["quarantined"]


@dataclass(frozen=True)
class DataFacts:
    """All sources of a run."""

    recipe: Recipe
    sources: list[SourceFacts]
    classifiers: dict[str, dict[str, Any]]
    """What the classifier of each taxonomy is worth."""

    def steps(self) -> list[str]:
        """The steps that set documents of any source aside, in order."""
        found = dict.fromkeys(step for source in self.sources for step in source.steps)
        return [step for step in VERDICTS if step in found]


def read_data_facts(recipe: Recipe, run: Path) -> DataFacts:
    """Goes through the columns of every source that is prepared."""
    directory = RunDirectory(run)
    stores = stores_of(directory, recipe).items()
    sources = [_read_source(recipe, name, store) for name, store in stores if store.has(SELECTION)]
    taxonomies = dict.fromkeys(source.topics for source in recipe.sources.values() if source.topics is not None)
    reports = {name: directory.topics(name) / "classifier" / "report.json" for name in taxonomies}
    classifiers = {
        name: read_json(path, f"Remove {path.parent}, and run `sapwood topics train`.")
        for name, path in reports.items()
        if path.exists()
    }
    return DataFacts(recipe, sources, classifiers)


def _read_source(recipe: Recipe, name: str, store: SourceStore) -> SourceFacts:
    # A step that was switched off has left its columns behind, about other documents perhaps.
    manifests = {step: store.manifest(step) for step in steps_of(recipe, name) if store.has(step)}
    facts = SourceFacts(name, store, verdicts(recipe, name), manifests)
    for row in read_quarantine(store.step(DOCUMENTS)):
        origin = f"{row['file']}#{row['row']}"
        facts.unreadable_rows[row["reason"]].offer(
            xxhash.xxh3_64_hexdigest(origin.encode()), Found(origin, row["excerpt"])
        )
    for row in _rows(store, [step for step in _COLUMNS if step in manifests]):
        _add(facts, row)
    facts.clusters.sort(reverse=True)
    return facts


def _rows(store: SourceStore, steps: Iterable[str]) -> Iterator[dict[str, Any]]:
    columns = {DOCUMENTS: ["id"], SELECTION: ["split", "step", "reason"], **{step: _COLUMNS[step] for step in steps}}
    for batch in store.read_all(columns):
        yield from pa.table(batch).to_pylist()


def _add(facts: SourceFacts, row: dict[str, Any]) -> None:
    tokens = row.get("signals.tokens") or 0
    step, reason = row["selection.step"], row["selection.reason"]
    fate = step or row["selection.split"]
    facts.fates[fate] = facts.fates[fate].plus(tokens)
    if row.get("language.language"):
        facts.languages[row["language.language"]] += 1
    if row.get("duplicates.copy_of") is None and row.get("duplicates.cluster_size"):
        size = row["duplicates.cluster_size"]
        facts.cluster_sizes[size] += 1
        if size > 1:
            heapq.heappush(facts.clusters, (size, row["id"]))
            if len(facts.clusters) > CLUSTERS:
                heapq.heappop(facts.clusters)
    for benchmark in {hit["benchmark"] for hit in row.get("contamination.hits") or ()}:
        facts.hits[benchmark] += 1
    for hit in row.get("contamination.hits") or ():
        facts.evidence.offer(row["id"], {**hit, "id": row["id"]})
    bits = row.get("perplexity.bits_per_byte")
    if bits is not None:
        facts.bits[row.get("topics.topic") or ""].append(bits)
        facts.nll.append(row["perplexity.nll"])
    if step is not None:
        key = step, reason
        facts.reasons[key] = facts.reasons[key].plus(tokens)
        facts.samples[key].offer(row["id"], row["id"])
        return
    facts.lengths.append(tokens)
    if row.get("signals.compression_ratio") is not None:
        facts.compression.append(row["signals.compression_ratio"])
    if row.get("topics.topic") is not None:
        facts.topics[row["topics.topic"]] = facts.topics[row["topics.topic"]].plus(tokens)


def quantiles(values: Iterable[float]) -> list[float]:
    """The 1st, 10th, 50th, 90th and 99th hundredth of some values."""
    return [float(value) for value in np.quantile(np.array(list(values)), [0.01, 0.1, 0.5, 0.9, 0.99])]
