"""What each section of the data report says, as plain values for its template."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

from sapwood.corpus.store import DOCUMENTS, SELECTION, STEPS, Found
from sapwood.report.data import plots
from sapwood.report.data.facts import HITS, DataFacts, SourceFacts, Tally, quantiles

LANGUAGES = 6
"""Columns of languages; rarer ones count together."""

EXAMPLES = 6
"""Examples of each reason, of all sources in turn."""

LABELS = {"train": "to train on", "holdout": "held out"}


def overview_section(facts: DataFacts) -> dict[str, Any]:
    """How much of every source is left, and what took the rest."""
    steps = facts.steps()
    rows = [
        {
            "name": source.name,
            "read": source.read,
            "unreadable": source.unreadable,
            "aside": [source.fates[step].documents if step in source.steps else None for step in steps],
            "holdout": source.fates["holdout"],
            "train": source.fates["train"],
        }
        for source in facts.sources
    ]
    parts = plots.shades(["train", "holdout"], steps)
    amounts = {
        source.name: {LABELS.get(part, part): source.fates[part].tokens for part in parts} for source in facts.sources
    }
    colors = {LABELS.get(part, part): color for part, color in parts.items()}
    kept = [source.fates[fate] for source in facts.sources for fate in ("train", "holdout")]
    every = [tally for source in facts.sources for tally in source.fates.values()]
    return {
        "steps": steps,
        "rows": rows,
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
    lines = []
    for step in STEPS:
        per_source = [_step_line(source, step) for source in facts.sources if step in source.manifests]
        if per_source:
            lines.append({"name": step, **_together(per_source), "sources": per_source})
    return {"lines": lines}


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
    rows = [
        {
            "name": source.name,
            "expected": facts.recipe.sources[source.name].language,
            "counts": [source.languages[language] for language in shown],
            "others": sum(found for language, found in source.languages.items() if language not in shown),
        }
        for source in facts.sources
        if source.languages
    ]
    return {"languages": shown, "rows": rows}


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
        report = facts.classifiers.get(str(taxonomy))
        taxonomies.append(
            {
                "name": str(taxonomy).rsplit("/", 1)[-1],
                "sources": [source.name for source in members],
                "rows": [
                    (topic, [source.topics.get(topic, Tally()) for source in members])
                    for topic, _ in totals.most_common()
                ],
                "report": report,
                "confusion": report and plots.confusion([t["topic"] for t in report["topics"]], report["confusion"]),
            }
        )
    return {"taxonomies": taxonomies}


def lengths_section(facts: DataFacts) -> dict[str, Any]:
    """How long the kept documents are, and how far they can be compressed."""
    lengths = {source.name: [max(1, value) for value in source.lengths] for source in facts.sources if source.lengths}
    compression = {source.name: source.compression for source in facts.sources if source.compression}
    return {
        "lengths": plots.distribution(lengths, "tokens in a document", log=True) if lengths else None,
        "compression": plots.distribution(compression, "compressed bytes for each byte") if compression else None,
        "rows": [(name, quantiles(values)) for name, values in lengths.items()],
    }


def perplexity_section(facts: DataFacts) -> dict[str, Any]:
    """How well a model predicts the documents, before any were trimmed."""
    values = {
        f"{source.name}: {topic}" if topic else source.name: found
        for source in facts.sources
        for topic, found in sorted(source.bits.items())
    }
    return {
        "figure": plots.distribution(values, "bits per byte") if values else None,
        "rows": [
            (source.name, len(source.nll), [math.exp(value) for value in quantiles(source.nll)])
            for source in facts.sources
            if source.nll
        ],
    }


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
    rows = [(source.name, [source.hits[name] for name in benchmarks]) for source in facts.sources if source.hits]
    evidence = []
    for source in facts.sources:
        hits = source.evidence.items()
        found = source.store.find(hit["id"] for hit in hits)
        evidence += [{**hit, "source": source.name, "origin": found[hit["id"]].origin} for hit in hits]
    return {
        "asked": facts.recipe.corpus.decontamination is not None,
        "benchmarks": benchmarks,
        "rows": rows,
        "evidence": evidence[:HITS],
        "total": sum(source.evidence.seen for source in facts.sources),
    }


def _step_line(source: SourceFacts, step: str) -> dict[str, Any]:
    manifest = source.manifests[step]
    counts = manifest.counts
    if step == SELECTION:
        # It passes on what earlier steps filtered, and filters nothing by itself.
        documents, dropped = counts.get("train", 0) + counts.get("holdout", 0), 0
        size = counts.get("train_bytes", 0) + counts.get("holdout_bytes", 0)
    elif step == DOCUMENTS:
        documents, dropped, size = counts["documents_read"], counts["quarantined"], counts["bytes"]
    else:
        documents, dropped, size = counts["documents"], counts["dropped"], counts["bytes"]
    return {
        "source": source.name,
        "documents": documents,
        "dropped": dropped,
        "tokens": source.fates[step].tokens if step in source.steps else 0,
        "bytes": size,
        "seconds": manifest.seconds,
    }


def _together(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(line[name] for line in lines) for name in ("documents", "dropped", "tokens", "bytes", "seconds")}


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


def _bins(sizes: Counter[int]) -> list[tuple[str, int, int]]:
    """Families of duplicates by size: how they are called, how many there are, and the documents in them."""
    edges = (
        (1, 1, "alone"),
        (2, 2, "2"),
        (3, 4, "3 to 4"),
        (5, 9, "5 to 9"),
        (10, 99, "10 to 99"),
        (100, 10**12, "100 or more"),
    )
    found = []
    for low, high, name in edges:
        inside = {size: number for size, number in sizes.items() if low <= size <= high}
        if inside:
            found.append((name, sum(inside.values()), sum(size * number for size, number in inside.items())))
    return found
