"""What each section of the data report says, as plain values for its template."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain, zip_longest
from typing import Any

from sapwood.corpus.store import DOCUMENTS, SELECTION, STEPS, Found
from sapwood.report.data import plots
from sapwood.report.data.facts import HITS, DataFacts, SourceFacts, Tally, quantiles
from sapwood.report.table import Cell, Table, count, duration, number, share, size

LANGUAGES = 6
"""Columns of languages; rarer ones count together."""

EXAMPLES = 6
"""Examples of each reason, of all sources in turn."""

_QUANTILES = "1%", "10%", "Median", "90%", "99%"
_STEP_COLUMNS = "Looked at", "Filtered", "Share", "Tokens filtered", "Text", "Time", "MB/s"

LABELS = {"train": "to train on", "holdout": "held out"}


def overview_section(facts: DataFacts) -> dict[str, Any]:
    """How much of every source is left, and what took the rest."""
    steps = facts.steps()
    licences = {source.name: facts.recipe.sources[source.name].licence for source in facts.sources}
    licensed = any(licences.values())
    table = Table(
        *("Source", *(["Licence"] if licensed else []), "Read", "= unreadable", *(f"+ {step}" for step in steps)),
        *("+ held out", "+ to train on", "Tokens to train on"),
    )
    for source in facts.sources:
        holdout, train = source.fates["holdout"], source.fates["train"]
        table.add(
            *(source.name, *([licences[source.name] or "not stated"] if licensed else [])),
            *(count(source.read), count(source.unreadable)),
            *(count(source.fates[step].documents if step in source.steps else None) for step in steps),
            *(count(holdout.documents), count(train.documents), count(train.tokens)),
        )
    parts = plots.shades(["train", "holdout"], steps)
    amounts = {
        source.name: {LABELS.get(part, part): source.fates[part].tokens for part in parts} for source in facts.sources
    }
    colors = {LABELS.get(part, part): color for part, color in parts.items()}
    kept = [source.fates[fate] for source in facts.sources for fate in ("train", "holdout")]
    every = [tally for source in facts.sources for tally in source.fates.values()]
    return {
        "table": table,
        "figure": plots.stacked(amounts, colors, "tokens"),
        "legend": list(colors.items()),
        "read": sum(source.read for source in facts.sources),
        "kept": sum(tally.documents for tally in kept),
        "train_tokens": sum(source.fates["train"].tokens for source in facts.sources),
        "encodings": [
            (source.name, counts.get("encoding_detected", 0), counts.get("encoding_damaged", 0))
            for source in facts.sources
            if "encoding_detected" in (counts := source.manifests[DOCUMENTS].counts) or "encoding_damaged" in counts
        ],
        "all_tokens": sum(tally.tokens for tally in every),
        "seconds": sum(manifest.seconds for source in facts.sources for manifest in source.manifests.values()),
    }


def steps_section(facts: DataFacts) -> dict[str, Any]:
    """What every step looked at, what it filtered, and how long that took."""
    table = Table("Step", *_STEP_COLUMNS)
    by_source = []
    for step in STEPS:
        lines = {source.name: _StepLine.of(source, step) for source in facts.sources if step in source.manifests}
        if lines:
            table.add(step, *sum(lines.values(), _StepLine()).cells())
            parts = Table("Source", *_STEP_COLUMNS)
            for name, line in lines.items():
                parts.add(name, *line.cells())
            by_source.append((step, parts))
    return {"table": table, "by_source": by_source}


def dropped_section(facts: DataFacts) -> dict[str, Any]:
    """Every reason, how often it was given, and some documents for which it was; rows that gave none first."""
    found = {source.name: _samples(source) for source in facts.sources}
    groups = [{"step": "unreadable", "reasons": _unreadable(facts)}]
    for step in facts.steps():
        reasons: Counter[str] = Counter()
        for source in facts.sources:
            reasons.update({reason: tally.documents for (at, reason), tally in source.reasons.items() if at == step})
        groups.append(
            {
                "step": step,
                "reasons": [_reason(facts, step, reason, total, found) for reason, total in reasons.most_common()],
            }
        )
    return {"groups": [group for group in groups if group["reasons"]]}


def languages_section(facts: DataFacts) -> dict[str, Any]:
    """In which languages the documents are."""
    total: Counter[str] = Counter()
    for source in facts.sources:
        total.update(source.languages)
    shown = [language for language, _ in total.most_common(LANGUAGES)]
    table = Table("Source", "Expected", *shown, "others")
    for source in facts.sources:
        if source.languages:
            others = sum(found for language, found in source.languages.items() if language not in shown)
            expected = facts.recipe.sources[source.name].language or "any"
            table.add(source.name, expected, *(count(source.languages[language]) for language in shown), count(others))
    return {"table": table if table.rows else None}


def topics_section(facts: DataFacts) -> dict[str, Any]:
    """How the kept tokens are spread over the topics, and what the classifiers are worth."""
    taxonomies = []
    for taxonomy in dict.fromkeys(facts.recipe.sources[source.name].topics for source in facts.sources):
        members = [s for s in facts.sources if s.topics and facts.recipe.sources[s.name].topics == taxonomy]
        if not members:
            continue
        totals: Counter[str] = Counter()
        for source in members:
            totals.update({topic: tally.tokens for topic, tally in source.topics.items()})
        table = Table(
            "Topic", *(title for source in members for title in (f"{source.name}: documents", f"{source.name}: tokens"))
        )
        for topic, _ in totals.most_common():
            tallies = [source.topics.get(topic, Tally()) for source in members]
            table.add(topic, *(count(number) for tally in tallies for number in (tally.documents, tally.tokens)))
        report = facts.classifiers.get(str(taxonomy))
        taxonomies.append(
            {
                "name": str(taxonomy).rsplit("/", 1)[-1],
                "table": table,
                "report": report,
                "classifier": report and _classifier(report),
                "confusion": report and plots.confusion([t["topic"] for t in report["topics"]], report["confusion"]),
            }
        )
    return {"taxonomies": taxonomies}


def lengths_section(facts: DataFacts) -> dict[str, Any]:
    """How long the kept documents are, and how far they can be compressed."""
    lengths = {source.name: [max(1, value) for value in source.lengths] for source in facts.sources if source.lengths}
    compression = {source.name: source.compression for source in facts.sources if source.compression}
    table = Table("Source", *_QUANTILES)
    for name, values in lengths.items():
        table.add(name, *map(count, quantiles(values)))
    return {
        "lengths": plots.distribution(lengths, "tokens in a document", log=True) if lengths else None,
        "compression": plots.distribution(compression, "compressed bytes for each byte") if compression else None,
        "table": table,
    }


def perplexity_section(facts: DataFacts) -> dict[str, Any]:
    """How well a model predicts the documents, before any were trimmed."""
    values = {
        f"{source.name}: {topic}" if topic else source.name: found
        for source in facts.sources
        for topic, found in sorted(source.bits.items())
    }
    first, *others = _QUANTILES
    table = Table("Source", "Documents", f"Perplexity per token, {first}", *others)
    for source in facts.sources:
        if source.nll:
            perplexities = (number(math.exp(value), 1) for value in quantiles(source.nll))
            table.add(source.name, count(len(source.nll)), *perplexities)
    return {"figure": plots.distribution(values, "bits per byte") if values else None, "table": table}


def duplicates_section(facts: DataFacts) -> dict[str, Any]:
    """How many duplicates there were, of what, and how large the families are."""
    sizes: Counter[int] = Counter()
    for source in facts.sources:
        sizes.update(source.cluster_sizes)
    rows = [
        (
            source.name,
            [(reason, tally.documents) for (step, reason), tally in source.reasons.items() if step == "duplicates"],
        )
        for source in facts.sources
    ]
    largest = sorted(
        ((size, source, name) for source in facts.sources for size, name in source.clusters), key=lambda c: -c[0]
    )
    stay = {
        source.name: source.store.find(name for _, other, name in largest[:8] if other is source)
        for source in facts.sources
    }
    clusters = [{"size": size, **_example(source, stay[source.name][name])} for size, source, name in largest[:8]]
    return {
        "sizes": _bins(sizes),
        "rows": [(name, found) for name, found in rows if found],
        "clusters": clusters,
    }


def contamination_section(facts: DataFacts) -> dict[str, Any]:
    """Which benchmark items were found, where, and how much of them."""
    benchmarks = sorted({name for source in facts.sources for name in source.hits})
    table = Table("Source", *benchmarks)
    for source in facts.sources:
        if source.hits:
            table.add(source.name, *(count(source.hits[name]) for name in benchmarks))
    evidence = []
    for source in facts.sources:
        hits = source.evidence.items()
        found = source.store.find(hit["id"] for hit in hits)
        evidence += [{**hit, "source": source.name, "origin": found[hit["id"]].origin} for hit in hits]
    return {
        "asked": facts.recipe.corpus.decontamination is not None,
        "table": table,
        "evidence": evidence[:HITS],
        "total": sum(source.evidence.seen for source in facts.sources),
    }


@dataclass(frozen=True, slots=True)
class _StepLine:
    """What a step looked at."""

    documents: int = 0
    filtered: int = 0
    tokens: int = 0
    """Of the filtered documents."""
    bytes: int = 0
    """Of all documents."""
    seconds: float = 0.0

    @classmethod
    def of(cls, source: SourceFacts, step: str) -> _StepLine:
        """What a step looked at of a source."""
        manifest = source.manifests[step]
        counts = manifest.counts
        if step == SELECTION:
            # It passes on what earlier steps filtered, and filters nothing by itself.
            documents, filtered = counts.get("train", 0) + counts.get("holdout", 0), 0
            amount = counts.get("train_bytes", 0) + counts.get("holdout_bytes", 0)
        elif step == DOCUMENTS:
            documents, filtered, amount = counts["documents_read"], counts["quarantined"], counts["bytes"]
        else:
            documents, filtered, amount = counts["documents"], counts["dropped"], counts["bytes"]
        tokens = source.fates[step].tokens if step in source.steps else 0
        return cls(documents, filtered, tokens, amount, manifest.seconds)

    def __add__(self, other: _StepLine) -> _StepLine:
        return _StepLine(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def cells(self) -> tuple[Cell, ...]:
        """Under `_STEP_COLUMNS`."""
        return (
            count(self.documents),
            count(self.filtered),
            share(self.filtered / self.documents if self.documents else None),
            count(self.tokens),
            size(self.bytes),
            duration(self.seconds),
            number(self.bytes / self.seconds / 1e6 if self.seconds else None, 1),
        )


def _classifier(report: Mapping[str, Any]) -> Table:
    """What a classifier is worth, by topic."""
    table = Table("Topic", "Precision", "Recall", "F1", "Held-out labels")
    for place, row in enumerate(report["topics"], 1):
        worth = (number(row[name] if row["support"] else None, 2) for name in ("precision", "recall", "f1"))
        table.add(f"{place}. {row['topic']}", *worth, count(row["support"]))
    return table


def _unreadable(facts: DataFacts) -> list[dict[str, Any]]:
    reasons: Counter[str] = Counter()
    for source in facts.sources:
        reasons.update(source.manifests[DOCUMENTS].reasons)
    entries = []
    for reason, total in reasons.most_common():
        found = [source for source in facts.sources if reason in source.manifests[DOCUMENTS].reasons]
        counts = [(source, source.manifests[DOCUMENTS].reasons[reason]) for source in found]
        rows = [[_example(source, row) for row in source.unreadable_rows[reason].items()] for source in found]
        entries.append(_entry(reason, total, 0, counts, rows))
    return entries


def _reason(
    facts: DataFacts, step: str, reason: str, total: int, samples: Mapping[str, Mapping[str, Found]]
) -> dict[str, Any]:
    key = step, reason
    found = [source for source in facts.sources if key in source.reasons]
    counts = [(source, source.reasons[key].documents) for source in found]
    examples = [
        [_example(source, samples[source.name][name]) for name in source.samples[key].items()] for source in found
    ]
    return _entry(reason, total, sum(source.reasons[key].tokens for source in found), counts, examples)


def _entry(
    reason: str,
    total: int,
    tokens: int,
    counts: Sequence[tuple[SourceFacts, int]],
    examples: Sequence[Sequence[dict[str, Any]]],
) -> dict[str, Any]:
    in_turn = [example for example in chain.from_iterable(zip_longest(*examples)) if example is not None]
    return {
        "reason": reason,
        "documents": total,
        "tokens": tokens,
        "sources": [(source.name, count, count / max(1, source.read)) for source, count in counts],
        "samples": in_turn[:EXAMPLES],
    }


def _samples(source: SourceFacts) -> dict[str, Found]:
    """The documents that serve as examples, by id, looked up all at once."""
    return source.store.find(chain.from_iterable(sample.items() for sample in source.samples.values()))


def _example(source: SourceFacts, found: Found) -> dict[str, Any]:
    return {"source": source.name, "origin": found.origin, "excerpt": found.excerpt}


def _bins(sizes: Counter[int]) -> Table | None:
    """Families of duplicates by size: how many there are, and the documents in them."""
    edges = (
        (1, 1, "alone"),
        (2, 2, "2"),
        (3, 4, "3 to 4"),
        (5, 9, "5 to 9"),
        (10, 99, "10 to 99"),
        (100, 10**12, "100 or more"),
    )
    table = Table("Documents in the family", "Families", "Documents in them")
    for low, high, name in edges:
        inside = {members: families for members, families in sizes.items() if low <= members <= high}
        if inside:
            documents = sum(members * families for members, families in inside.items())
            table.add(name, count(sum(inside.values())), count(documents))
    return table if table.rows else None
