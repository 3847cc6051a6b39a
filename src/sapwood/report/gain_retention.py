"""How far gain and retention moved: every model of a run that was measured, on the plane of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.evaluation.comparison import Comparison
from sapwood.evaluation.gate import mean_change
from sapwood.evaluation.result import ADAPTED
from sapwood.report.axes import Figure
from sapwood.report.palette import palette
from sapwood.report.plane import Place, Route, plane
from sapwood.report.run_view import RunView
from sapwood.report.verdict import find_between
from sapwood.report.wording import count
from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Metric
from sapwood.statistics.estimate import Estimate

TONE = palette({"model": "gain"})["model"]


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model of the run, measured against the base model."""

    name: str
    tokens: int | None
    gained: Estimate
    """The mean improvement in bits per byte, or in score."""
    kept: Estimate
    met: str
    """How many demands it meets."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A figure, and the numbers in it."""

    suite: str
    """What was measured by; empty for held-out texts, in bits per byte."""
    metric: Metric
    models: Sequence[MeasuredModel]
    figure: Figure
    left_out: Sequence[str]
    """Evaluations that cannot be compared with the base model's."""


def planes(facts: RunView) -> list[Plane]:
    """One in bits per byte of held-out texts, and one in points for every suite that checkpoints were measured by.

    None where the recipe, or the suite, does not name both what to gain and what to keep.
    """
    found = [_held_out(facts), *(_suite(facts, name) for name in dict.fromkeys(c.suite for c in facts.comparisons))]
    return [plane for plane in found if plane is not None]


def _held_out(facts: RunView) -> Plane | None:
    if facts.base is None:
        return None
    models, left_out = [], []
    for evaluation in facts.evaluations[1:]:
        changes, problem = find_between(facts.recipe, facts.base, evaluation)
        kept, gained = mean_change(changes, "retention"), mean_change(changes, "gain")
        if problem:
            left_out.append(evaluation.label)
        elif kept is not None and gained is not None:
            met = f"{sum(change.passed for change in changes)} of {len(changes)}"
            models.append(MeasuredModel(name_of(evaluation.label), evaluation.tokens, gained, kept, met))
    if not models:
        return None
    settings = facts.recipe.evaluation
    figure = plane(
        _routes(models),
        confidence=settings.confidence,
        margin=settings.retention.margin,
        metric=BITS_PER_BYTE,
    )
    return Plane("", BITS_PER_BYTE, models, figure, left_out)


def _suite(facts: RunView, name: str) -> Plane | None:
    compared = [comparison for comparison in facts.comparisons if comparison.suite == name]
    models = [found for comparison in compared if (found := _on_suite(facts, comparison)) is not None]
    if len(models) < 2:
        return None
    (suite,) = (suite for suite in facts.suites if suite.name == name)
    figure = plane(
        _routes(models),
        confidence=facts.recipe.evaluation.confidence,
        margin=suite.margin,
        metric=SCORE,
    )
    return Plane(name, SCORE, models, figure, [])


def _on_suite(facts: RunView, comparison: Comparison) -> MeasuredModel | None:
    kept, gained = comparison.mean_change("retention"), comparison.mean_change("gain")
    if kept is None or gained is None:
        return None
    judged = [task.change.passed for task in comparison.tasks.values() if task.change.verdict is not None]
    tokens = facts.tokens_of(comparison.model)
    return MeasuredModel(name_of(comparison.model), tokens, gained, kept, f"{sum(judged)} of {len(judged)}")


def _routes(models: Sequence[MeasuredModel]) -> list[Route]:
    """The models in their order, the adapted one with a note."""
    return [Route(TONE, [_place(model) for model in models])]


def _place(model: MeasuredModel) -> Place:
    note = model.name if model.name == name_of(ADAPTED) else ""
    return Place(model.name, model.kept, model.gained, _remark(model), note)


def _remark(model: MeasuredModel) -> str:
    """Tokens and demands of a model."""
    after = "" if model.tokens is None else f"{count(model.tokens)} tokens, "
    return f"{after}{model.met} demands met"


def name_of(label: str) -> str:
    """A measured model as a reader calls it: `step 96`, `adapted model`."""
    step = label.removeprefix("step-")
    return "adapted model" if label == ADAPTED else f"step {int(step):,}" if step.isdigit() else label
