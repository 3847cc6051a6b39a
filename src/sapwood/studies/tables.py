"""The tables of a study, for the terminal and the page: design, noise floor, arms, contrasts, forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sapwood.recipe.load import dump
from sapwood.report.table import (
    Cell,
    Table,
    count,
    interval,
    number,
    number_interval,
    p_value,
    score,
    score_change,
    tokens,
)
from sapwood.report.wording import confidence
from sapwood.statistics.change import Change
from sapwood.studies.judge import Contrast, Findings
from sapwood.studies.plan import StudyPlan
from sapwood.studies.search import Forecast


def design_table(plan: StudyPlan) -> Table:
    """Every arm: in which fields it differs, and how far its trials are."""
    columns = "Arm", "Differs in", "Seeds", "Tokens a trial", "Tokens", "Finished", "Failed"
    table = Table(*columns, folded=("Differs in",))
    for row in plan.arms:
        seeds = len(row.arm.seeds)
        fields = "; ".join(dump(dict(row.arm.fields)).strip().splitlines()) if row.arm.fields else "nothing"
        amounts = count(seeds), tokens(row.tokens), tokens(seeds * row.tokens), count(row.done), count(row.failed)
        table.add(row.arm.label, fields, *amounts)
    return table


def noise_table(findings: Findings, title: str | None) -> Table:
    """How much seeds differ by themselves, as standard deviations pooled over arms."""
    columns = "Between seeds of an arm", "Of differences, paired", "Smallest effect that is found", "Unit"
    table = Table("Metric", *columns, title=title)
    for noise in findings.noise:
        metric = noise.primary.metric
        spreads = noise.between_seeds, noise.of_differences, noise.detectable
        cells = (number(metric.scale * spread, metric.decimals + 1) for spread in spreads)
        table.add(noise.primary.name, *cells, metric.unit)
    return table


def arms_table(found: Mapping[str, Findings], level: float) -> Table:
    """Every arm since the base model, with intervals of the confidence `level`; `found` is by size."""
    scores = "Before", "After", "Better by", f"{confidence(level)} interval"
    table = Table("Metric", "Arm", "Seeds", *scores, "Verdict", folded=("Verdict",))
    for size, findings in found.items():
        for row in findings.arms:
            verdict = row.change.verdict or None if len(row.seeds) > 1 else "one seed"
            name = _named(size, row.primary.name)
            table.add(name, row.arm.name, count(len(row.seeds)), *_measured(row.change), verdict)
    return table


def contrasts_table(found: Mapping[str, Findings], level: float) -> Table:
    """Every arm against the reference, paired by seed; `found` is by size."""
    scores = "Reference", "Arm's", "Better by", f"{confidence(level)} interval"
    table = Table("Metric", "Arm", "Seeds", *scores, "p (Holm)", "Shown", folded=("Shown",))
    for size, findings in found.items():
        for row in findings.contrasts:
            measured = *_measured(row.change), p_value(row.change.p_value)
            table.add(_named(size, row.primary.name), row.arm.name, count(len(row.seeds)), *measured, _shown(row))
    return table


def forecasts_table(forecasts: Sequence[Forecast]) -> Table:
    """What the laws foretold of the solved mixture, and what its runs measured."""
    table = Table("Metric", "Forecast loss", "95% interval of one run", "Measured", "Inside")
    for forecast in forecasts:
        foretold = number(forecast.loss), number_interval(forecast.interval)
        measured = ", ".join(number(value).text for value in forecast.measured) or "not run yet"
        table.add(forecast.primary.name, *foretold, measured, f"{forecast.inside} of {len(forecast.measured)}")
    return table


def _named(size: str, name: str) -> str:
    return f"{size}, {name}" if size else name


def _measured(change: Change) -> tuple[Cell, ...]:
    metric = change.metric
    levels = score(change.before, metric), score(change.after, metric)
    return *levels, score_change(change.value, metric), interval(change.interval, metric)


def _shown(contrast: Contrast) -> str:
    if len(contrast.seeds) < 2:
        return "one seed"
    if contrast.is_shown:
        return "better" if contrast.change.value > 0 else "worse"
    return "equal within the margin" if contrast.is_equal else "no difference shown"
