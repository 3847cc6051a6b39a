"""Every source's bits per byte: before, between and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import paired_change
from sapwood.evaluation.result import DomainScore, Evaluation
from sapwood.report.aims import AIMS, aims
from sapwood.report.palette import Tone, palette
from sapwood.report.plots import Trajectory
from sapwood.report.run_view import RunView
from sapwood.report.table import NOTHING, Table, change, count, interval, number
from sapwood.report.wording import confidence
from sapwood.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A source, or a topic of one, in the section on bits per byte."""

    name: str
    tone: Tone
    aim: str
    documents: int
    bytes: int
    before: Estimate | None
    after: Estimate | None
    change: Estimate | None
    perplexity_before: float | None
    perplexity_after: float | None


def _scored(score: DomainScore | None) -> DomainScore | None:
    """A score with documents; without any there is nothing to compute."""
    return score if score is not None and score.documents else None


def domain_rows(facts: RunView) -> list[DomainRow]:
    """A row for every source that was measured, in the order of the recipe."""
    return [row for name in facts.recipe.sources if (row := _row(facts, name, name)) is not None]


def topic_rows(facts: RunView) -> dict[str, list[DomainRow]]:
    """By source, a row for every topic that was measured; sources that are not divided are left out."""
    measured = dict.fromkeys(name for item in (facts.base, facts.model) if item is not None for name in item.domains)
    found = {}
    for source in facts.recipe.sources:
        names = [name for name in measured if name.startswith(f"{source}/")]
        rows = [row for name in names if (row := _row(facts, name, source)) is not None]
        if rows:
            found[source] = rows
    return found


def domains_table(title: str, rows: Sequence[DomainRow], level: float) -> Table:
    """Bits per byte and perplexity of every row, with intervals of the confidence `level`."""
    scores = "Bits per byte before", "Bits per byte after", "Change", f"{confidence(level)} interval"
    table = Table(title, "Aim", "Documents", "Bytes", *scores, "Perplexity before", "Perplexity after")
    for row in rows:
        levels = (number(estimate.value if estimate else None) for estimate in (row.before, row.after))
        moved = (NOTHING, NOTHING)
        if row.change is not None:
            moved = change(row.change.value), interval(row.change.interval(level))
        perplexities = number(row.perplexity_before, 2), number(row.perplexity_after, 2)
        table.add(row.name, AIMS[row.aim], count(row.documents), count(row.bytes), *levels, *moved, *perplexities)
    return table


def _row(facts: RunView, name: str, source: str) -> DomainRow | None:
    before = _scored(facts.base.domains.get(name)) if facts.base else None
    after = _scored(facts.model.domains.get(name)) if facts.model else None
    shown = after or before
    if shown is None:
        return None
    kinds = aims(facts.recipe)
    return DomainRow(
        name=name.removeprefix(f"{source}/"),
        tone=palette(kinds)[source],
        aim=kinds[source],
        documents=len(shown.documents),
        bytes=sum(document.bytes for document in shown.documents),
        before=before.bits_per_byte if before else None,
        after=after.bits_per_byte if after else None,
        change=_change(before, after),
        perplexity_before=before.perplexity if before else None,
        perplexity_after=after.perplexity if after else None,
    )


def _change(before: DomainScore | None, after: DomainScore | None) -> Estimate | None:
    """The paired improvement; None where the documents are not the same."""
    if before is None or after is None:
        return None
    try:
        return paired_change(before, after)
    except SapwoodError:
        return None


def compared(facts: RunView) -> list[Evaluation]:
    """The evaluations that can be compared with the base model's, itself among them, in the order of the run."""
    if facts.base is None:
        return []
    return [item for item in facts.evaluations if item.settings == facts.base.settings]


def changes(facts: RunView, evaluations: Iterable[Evaluation], name: str) -> list[Estimate | None]:
    """The change of a source, or a topic, since the base model in each evaluation; None where it was not measured."""
    first = _scored(facts.base.domains.get(name)) if facts.base else None
    return [_change(first, _scored(item.domains.get(name))) for item in evaluations]


def trajectories(facts: RunView) -> tuple[list[Trajectory], list[str]]:
    """The change of every source over the evaluations there are, and the evaluations that cannot be compared."""
    if facts.base is None or not facts.between:
        return [], []
    evaluations = compared(facts)
    found = []
    for name in facts.recipe.sources:
        measured = zip(evaluations, changes(facts, evaluations, name), strict=True)
        points = [(item.tokens, change) for item, change in measured if change is not None]
        if len(points) > 1:
            found.append(Trajectory(name, *(tuple(part) for part in zip(*points, strict=True))))
    return found, [item.label for item in facts.evaluations if item not in evaluations]
