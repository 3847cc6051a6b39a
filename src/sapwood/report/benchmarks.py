"""The section on benchmarks: every suite as a table, what was forgotten item by item, and subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sapwood.evaluation.comparison import ComparedTask, Comparison
from sapwood.recipe.suite import Suite
from sapwood.report import plots
from sapwood.report.axes import Figure
from sapwood.report.gain_retention import name_of
from sapwood.report.palette import Tone, palette
from sapwood.report.plots import Trajectory
from sapwood.report.run_view import RunView
from sapwood.report.sections import Missing
from sapwood.report.verdict import SIGNS
from sapwood.report.wording import listed
from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Aim
from sapwood.statistics.estimate import Estimate
from sapwood.suites.task_scores import TaskLevel

PROBES = "Learning from context"
"""What tasks with made items are called: they ask for nothing but what stands in the prompt."""
_LANGUAGES = {"en": "English", "zh": "Chinese"}

Rank = Literal["best", "second", ""]


@dataclass(frozen=True, slots=True)
class Cell:
    """A model's level on a task."""

    level: TaskLevel
    rank: Rank
    """Among the models of the row."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task in the tables of a suite."""

    task: ComparedTask
    shots: int
    before: Cell
    after: Cell
    trajectory: Sequence[Cell | None]
    """The base model, every checkpoint that was measured, and the last model."""
    shown: bool
    """Whether a change is shown, by the p-value that is adjusted over the task's family."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean change over tasks."""

    aim: Aim
    language: str
    """Empty for all."""
    tasks: int
    change: Estimate


@dataclass(frozen=True, slots=True)
class SuiteView:
    """A suite, ready for the template."""

    suite: Suite
    model: str
    """What is compared with the base model."""
    models: Sequence[str]
    """The columns of the tasks' trajectories; empty where no checkpoint was measured."""
    groups: Sequence[tuple[str, Sequence[TaskRow]]]
    means: Sequence[Mean]
    figures: Sequence[tuple[str, str, Figure]]
    """Aim, unit and figure."""
    trajectories: Sequence[tuple[str, Figure, Sequence[tuple[str, Tone]]]]
    """Unit, the changes over the tokens trained on, and who is who; none where no checkpoint was measured."""
    clean: bool
    """Whether it is known for some task which items were found in what was trained on."""

    @property
    def rows(self) -> list[TaskRow]:
        """The tasks of all groups."""
        return [row for _, rows in self.groups for row in rows]


def benchmarks_section(facts: RunView) -> dict[str, Any]:
    """Every suite that the recipe names."""
    views = [view for suite in facts.suites if (view := _view(facts, suite)) is not None]
    missing = []
    for suite in facts.suites:
        tasks = [task for name, task in facts.unmeasured if name == suite.name]
        if tasks and not facts.unread:
            sentence = f"Not measured on both models, of the tasks that {suite.name} judges: {listed(tasks)}."
            missing.append(Missing(sentence, "evaluate"))
    return {
        "named": facts.recipe.evaluation.suites,
        "missing": missing,
        "problem": facts.unread,
        "suites": views,
        "signs": SIGNS,
    }


def _view(facts: RunView, suite: Suite) -> SuiteView | None:
    """The last model that was measured, against the base model; None where there is none."""
    compared = [found for found in facts.comparisons if found.suite == suite.name and found.tasks]
    if not compared:
        return None
    last = compared[-1]
    rows = [_row(task, suite, compared) for task in last.tasks.values()]
    named = [(_group(row.task, suite), row) for row in rows]
    titles = sorted(dict.fromkeys(title for title, _ in named), key=lambda title: title == PROBES)
    return SuiteView(
        suite=suite,
        model=name_of(last.model),
        models=["base model", *(name_of(comparison.model) for comparison in compared)] if len(compared) > 1 else [],
        groups=[(title, [row for group, row in named if group == title]) for title in titles],
        means=list(_means(last)),
        figures=list(_forests(last, suite)),
        trajectories=list(_trajectories(facts, compared)) if len(compared) > 1 else [],
        clean=any(task.clean is not None for task in last.tasks.values()),
    )


def _group(task: ComparedTask, suite: Suite) -> str:
    """Tasks of one language stand together, and those with made items apart."""
    if suite.tasks[task.task].generator is not None:
        return PROBES
    return _LANGUAGES.get(task.language, task.language)


def _row(task: ComparedTask, suite: Suite, compared: Sequence[Comparison]) -> TaskRow:
    changes = [comparison.tasks.get(task.task) for comparison in compared]
    before, after = _cells([task.before, task.after[0]], task.in_bits)
    assert before is not None
    assert after is not None
    return TaskRow(
        task=task,
        shots=suite.tasks[task.task].shots.count,
        before=before,
        after=after,
        trajectory=_cells(
            [task.before, *(None if change is None else change.after[0] for change in changes)], task.in_bits
        ),
        shown=task.change.verdict is not None and task.change.p_value < 1 - compared[-1].confidence,
    )


def _cells(levels: Sequence[TaskLevel | None], in_bits: bool) -> list[Cell | None]:
    """Levels with their ranks: those that look equal share theirs. Bits per byte are better the fewer."""
    values = sorted({_rounded(level) for level in levels if level is not None}, reverse=not in_bits)
    ranks: dict[float, Rank] = dict(zip(values, ("best", "second"), strict=False))
    return [None if level is None else Cell(level, ranks.get(_rounded(level), "")) for level in levels]


def _rounded(level: TaskLevel) -> float:
    """As it is shown: to a tenth of a point, or a thousandth of a bit per byte."""
    return round(level.value, 3)


def _means(comparison: Comparison) -> Iterator[Mean]:
    """Over the tasks of an aim, and of each language where there are several."""
    for aim in get_args(Aim):
        for language in (None, *(comparison.languages if len(comparison.languages) > 1 else ())):
            change = comparison.mean_change(aim, language)
            tasks = [t for t in comparison.tasks.values() if t.change.aim == aim and not t.in_bits]
            if change is not None:
                counted = sum(language in (None, task.language) for task in tasks)
                yield Mean(aim, _LANGUAGES.get(language or "", language or ""), counted, change)


def _forests(comparison: Comparison, suite: Suite) -> Iterator[tuple[str, str, Figure]]:
    """Aim, unit, and the changes of the tasks that have both."""
    for aim in (*get_args(Aim), None):
        for metric, margin in ((SCORE, suite.margin), (BITS_PER_BYTE, suite.margin_bits)):
            changes = [task.change for task in comparison.tasks.values()]
            chosen = [change for change in changes if change.aim == aim and change.metric is metric]
            if chosen:
                yield aim or "", metric.unit, plots.forest(chosen, margin if aim == "retention" else None)


def _trajectories(
    facts: RunView, compared: Sequence[Comparison]
) -> Iterator[tuple[str, Figure, Sequence[tuple[str, Tone]]]]:
    """The changes of the tasks from the base model on, in points and in bits per byte."""
    aims = {name: task.change.aim or "" for name, task in compared[-1].tasks.items()}
    colors = palette(aims)
    for metric in (SCORE, BITS_PER_BYTE):
        names = [name for name in aims if compared[-1].tasks[name].change.metric is metric]
        rows = [_trajectory(facts, compared, name) for name in names]
        if rows:
            figure = plots.trajectories(rows, colors, compared[-1].confidence, None, metric)
            yield metric.unit, figure, [(row.name, colors[row.name]) for row in rows]


def _trajectory(facts: RunView, compared: Sequence[Comparison], name: str) -> Trajectory:
    points = [(0, Estimate(0.0, 0.0, math.inf))]
    for comparison in compared:
        tokens, task = facts.tokens_of(comparison.model), comparison.tasks.get(name)
        if tokens is not None and task is not None:
            points.append((tokens, task.change.estimate))
    return Trajectory(name, *(tuple(part) for part in zip(*points, strict=True)))
