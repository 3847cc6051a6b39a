"""A model against the one it was adapted from, on the tasks of a suite: what changed, how sure that is, and a
verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from sapwood.evaluation.family import Uncertain, judge_family
from sapwood.evaluation.gate import Verdict
from sapwood.recipe.fields import Aim
from sapwood.recipe.suite import Suite
from sapwood.statistics.estimate import Estimate, mean
from sapwood.statistics.forgetting import Forgetting, forgetting
from sapwood.statistics.paired import Pairs, change
from sapwood.statistics.power import detectable
from sapwood.statistics.resampling import sign_flip
from sapwood.statistics.seeds import across_seeds
from sapwood.suites.item_result import TaskResult
from sapwood.suites.task_scores import TaskLevel, chances_of, level_of, pair_results

Results = Mapping[str, TaskResult]
"""What a model made of a suite, by task."""
Overlap = Mapping[str, frozenset[str]]
"""Items, by task, that were found in what a model was trained on."""


@dataclass(frozen=True, slots=True)
class Part:
    """The change on some items of a task: those of a subject, or those that were not trained on."""

    items: int
    change: Uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """What became of one task. In all changes above zero is better, in those of bits per byte too."""

    task: str
    language: str
    aim: Aim | None
    """What the suite wants of it; None where it is not judged."""
    counts: str
    """The measure."""
    chance: float
    """What guessing scores."""
    margin: float
    """The loss up to which it counts as kept."""
    before: TaskLevel
    after: tuple[TaskLevel, ...]
    """One for each seed."""
    change: Uncertain
    interval: tuple[float, float]
    """Of this change alone, at the comparison's confidence."""
    p_value: float
    """Of no change, two-sided; adjusted over its family by Holm, where it is judged."""
    exact_p_value: float | None
    """Of no change by `sign_flip`, not adjusted; None over seeds."""
    verdict: Verdict | None
    detectable: float
    """The smallest true change that four of five such evaluations would show."""
    flips: Forgetting | None
    """Items won and lost; None where scores are not right or wrong, and over seeds."""
    subjects: Mapping[str, Part]
    """By subject. To look at: of many subjects some differ by chance."""
    clean: Part | None
    """On the items that were not found in what was trained on; None where that is not known, or none is left."""

    @property
    def in_bits(self) -> bool:
        """Whether levels and changes are bits per byte."""
        return self.counts == "bits"

    @property
    def value_after(self) -> float:
        """The level afterwards, the mean over seeds."""
        return sum(model.value for model in self.after) / len(self.after)

    @property
    def at_chance(self) -> bool:
        """Whether none of the models is shown to do better than guessing: there is nothing to gain from, or to lose."""
        return all(model.at_chance for model in (self.before, *self.after))

    @property
    def caveat(self) -> str:
        """Why a verdict says little: `at chance`, or `nothing to lose`, where not even the loss of everything above
        chance would exceed the margin. Empty where it says what it says."""
        if self.at_chance:
            return "at chance"
        above_chance = self.before.value - self.chance
        keeps_nothing = self.aim == "retention" and not self.in_bits and above_chance <= self.margin
        return "nothing to lose" if keeps_nothing else ""

    @property
    def passed(self) -> bool:
        """Whether the suite's demand is met, or there is none."""
        return self.verdict in (None, "gained", "kept", "improved")

    @property
    def fails(self) -> bool:
        """Whether a gate fails: an old ability is not shown to be kept, or a new one got worse."""
        return not self.passed and self.verdict != "no gain shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against the one it was adapted from."""

    suite: str
    model: str
    confidence: float
    tasks: Mapping[str, TaskChange]

    @property
    def failures(self) -> list[TaskChange]:
        """The tasks whose gates fail."""
        return [task for task in self.tasks.values() if task.fails]

    @property
    def languages(self) -> list[str]:
        """Of the tasks, each once."""
        return list(dict.fromkeys(task.language for task in self.tasks.values()))

    def mean_change(self, aim: Aim, language: str | None = None) -> Estimate | None:
        """The plain mean of the changes of score over the tasks of an aim, and of a language where one is given.

        Tasks of which bits per byte count are left out. None where none is left, and over seeds.
        """
        changes = [
            task.change
            for task in self.tasks.values()
            if task.aim == aim and not task.in_bits and language in (None, task.language)
        ]
        estimates = [change for change in changes if isinstance(change, Estimate)]
        return mean(estimates) if estimates else None


def compare(
    suite: Suite,
    before: Results,
    after: Sequence[Results],
    *,
    model: str,
    confidence: float = 0.95,
    overlap: Overlap | None = None,
) -> Comparison:
    """Compares a model with the one it was adapted from, on the tasks that have results of both.

    `after` has several results where the model was trained with several seeds. `overlap` names the items that were
    found in what it was trained on.

    Raises SapwoodError where results are not answers to the same questions.
    """
    tasks = {
        name: _task(suite, before[name], [results[name] for results in after], confidence, overlap)
        for name in suite.tasks
        if all(name in results for results in (before, *after))
    }
    for aim in get_args(Aim):
        family = {name: task for name, task in tasks.items() if task.aim == aim}
        judged = judge_family(
            aim,
            {name: task.change for name, task in family.items()},
            margin={name: task.margin for name, task in family.items()},
            confidence=confidence,
        )
        for name, found in judged.items():
            tasks[name] = replace(tasks[name], p_value=found.adjusted_p_value, verdict=found.verdict)
    return Comparison(suite.name, model, confidence, tasks)


def _task(
    suite: Suite, before: TaskResult, after: Sequence[TaskResult], confidence: float, overlap: Overlap | None
) -> TaskChange:
    """The change of one task, not judged yet."""
    task = suite.tasks[before.task]
    runs = [pair_results(before, result) for result in after]
    found = _over_seeds(runs)
    alone = runs[0] if len(runs) == 1 else None
    found_in_training = (overlap or {}).get(task.name, frozenset())
    return TaskChange(
        task=task.name,
        language=task.language,
        aim=suite.aim(task.name),
        counts=before.counts,
        chance=before.chance,
        margin=suite.margin_bits if before.counts == "bits" else suite.margin,
        before=level_of(before, task),
        after=tuple(level_of(result, task) for result in after),
        change=found,
        interval=found.interval(confidence),
        p_value=found.p_value,
        exact_p_value=None if alone is None else sign_flip(alone),
        verdict=None,
        detectable=detectable(found.standard_error, found.degrees_of_freedom),
        flips=forgetting(alone, chances_of(before, task)) if alone and alone.right_or_wrong else None,
        subjects=_subjects(before, runs),
        clean=None if overlap is None else _part(runs, lambda item: item not in found_in_training),
    )


def _over_seeds(runs: Sequence[Pairs]) -> Uncertain:
    return change(runs[0]) if len(runs) == 1 else across_seeds(runs)


def _subjects(before: TaskResult, runs: Sequence[Pairs]) -> dict[str, Part]:
    items: dict[str, set[str]] = defaultdict(set)
    for item in before.items:
        if item.subject is not None:
            items[item.subject].add(item.id)
    parts = {subject: _part(runs, items[subject].__contains__) for subject in sorted(items)}
    return {subject: part for subject, part in parts.items() if part is not None}


def _part(runs: Sequence[Pairs], belongs: Callable[[str], bool]) -> Part | None:
    """The change on the items that belong; None where none does."""
    chosen = np.array([belongs(item) for item in runs[0].items])
    if not chosen.any():
        return None
    return Part(int(chosen.sum()), _over_seeds([run.where(chosen) for run in runs]))
