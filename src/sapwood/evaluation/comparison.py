"""A model against the one it was adapted from, on the tasks of a suite: what changed, how sure that is, and a
verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from sapwood.recipe.fields import Aim
from sapwood.recipe.suite import Suite
from sapwood.statistics.change import BITS_PER_BYTE, Change
from sapwood.statistics.estimate import Estimate, mean, weighted_mean
from sapwood.statistics.family import judge_family
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTask:
    """What became of one task."""

    language: str
    metric: str
    """The metric."""
    chance: float
    """What guessing scores."""
    before: TaskLevel
    after: tuple[TaskLevel, ...]
    """One for each seed."""
    change: Change
    """Over seeds, from the level before to the mean of those after."""
    exact_p_value: float | None
    """Of no change by `sign_flip`, not adjusted; None over seeds."""
    detectable: float
    """The smallest true change that four of five such evaluations would show."""
    flips: Forgetting | None
    """Items won and lost; None where scores are not right or wrong, and over seeds."""
    subjects: Mapping[str, Change]
    """By subject. To look at: of many subjects some differ by chance."""
    clean: Change | None
    """On the items that were not found in what was trained on; None where that is not known, or none is left."""

    @property
    def task(self) -> str:
        """Its name."""
        return self.change.name

    @property
    def in_bits(self) -> bool:
        """Whether levels and changes are bits per byte."""
        return self.change.metric is BITS_PER_BYTE

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
        keeps_nothing = self.change.aim == "retention" and not self.in_bits and above_chance <= self.change.margin
        return "nothing to lose" if keeps_nothing else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against the one it was adapted from."""

    suite: str
    model: str
    confidence: float
    tasks: Mapping[str, ComparedTask]

    @property
    def failures(self) -> list[ComparedTask]:
        """The tasks whose gates fail."""
        return [task for task in self.tasks.values() if task.change.fails]

    @property
    def languages(self) -> list[str]:
        """Of the tasks, each once."""
        return list(dict.fromkeys(task.language for task in self.tasks.values()))

    def mean_change(self, aim: Aim, language: str | None = None) -> Estimate | None:
        """The plain mean of the improvements in score over the tasks of an aim, and of a language where one is given.

        Tasks of which bits per byte count are left out. None where none is left, and over seeds, which the tasks share.
        """
        estimates = [
            task.change.estimate
            for task in self.tasks.values()
            if task.change.aim == aim
            and not task.in_bits
            and language in (None, task.language)
            and len(task.after) == 1
        ]
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
        for found in judge_family([task.change for task in tasks.values() if task.change.aim == aim]):
            tasks[found.name] = replace(tasks[found.name], change=found)
    return Comparison(suite.name, model, confidence, tasks)


def _task(
    suite: Suite, before: TaskResult, after: Sequence[TaskResult], confidence: float, overlap: Overlap | None
) -> ComparedTask:
    """The change of one task, not judged yet."""
    task = suite.tasks[before.task]
    runs = [pair_results(before, result) for result in after]
    levels, aim = tuple(level_of(result, task) for result in after), suite.aim(task.name)
    first, in_bits = level_of(before, task), before.metric == "bits"
    found = _over_seeds(runs)
    alone = runs[0] if len(runs) == 1 else None
    found_in_training = (overlap or {}).get(task.name, frozenset())
    return ComparedTask(
        language=task.language,
        metric=before.metric,
        chance=before.chance,
        before=first,
        after=levels,
        change=Change.of(
            task.name,
            runs[0].metric,
            first.value,
            sum(level.value for level in levels) / len(levels),
            found,
            n=len(runs[0].items),
            confidence=confidence,
            aim=aim,
            margin=suite.margin_bits if in_bits else suite.margin,
        ),
        exact_p_value=None if alone is None else sign_flip(alone),
        detectable=detectable(found.standard_error, found.degrees_of_freedom),
        flips=forgetting(alone, chances_of(before, task)) if alone and alone.right_or_wrong else None,
        subjects=_subjects(before, runs, confidence),
        clean=None
        if overlap is None
        else _part(task.name, runs, lambda item: item not in found_in_training, confidence),
    )


def _over_seeds(runs: Sequence[Pairs]) -> Estimate:
    return change(runs[0]) if len(runs) == 1 else across_seeds(runs)


def _subjects(before: TaskResult, runs: Sequence[Pairs], confidence: float) -> dict[str, Change]:
    items: dict[str, set[str]] = defaultdict(set)
    for item in before.items:
        if item.subject is not None:
            items[item.subject].add(item.id)
    parts = {name: _part(name, runs, items[name].__contains__, confidence) for name in sorted(items)}
    return {name: part for name, part in parts.items() if part is not None}


def _part(name: str, runs: Sequence[Pairs], belongs: Callable[[str], bool], confidence: float) -> Change | None:
    """The change on the items that belong; None where none does."""
    chosen = np.array([belongs(item) for item in runs[0].items])
    if not chosen.any():
        return None
    some = [run.where(chosen) for run in runs]
    before = weighted_mean(some[0].before, some[0].weights)
    after = sum(weighted_mean(run.after, run.weights) for run in some) / len(some)
    return Change.of(name, some[0].metric, before, after, _over_seeds(some), n=int(chosen.sum()), confidence=confidence)
