"""From what a model made of a task's items to the numbers that statistics are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sapwood.errors import SapwoodError
from sapwood.recipe.task import Task
from sapwood.statistics.chance import better_than_guessing
from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Metric
from sapwood.statistics.estimate import Floats
from sapwood.statistics.items import ItemScore, TaskScores, by_task
from sapwood.statistics.level import Level, level
from sapwood.statistics.paired import Pairs, pair
from sapwood.suites.item_result import ItemResult, TaskResult


@dataclass(frozen=True, slots=True)
class TaskLevel:
    """How good a model is on a task."""

    level: Level
    """A mean score, of which 1 is all, or bits per byte, of which fewer are better."""
    by_guessing: float
    """The p-value of a model that guesses: not small where the model is at chance. NaN where nothing can be guessed."""

    @property
    def value(self) -> float:
        """The level itself."""
        return self.level.estimate.value

    @property
    def at_chance(self) -> bool:
        """Whether the model is not shown to do better than guessing."""
        return self.by_guessing >= 0.05


def level_of(result: TaskResult, task: Task) -> TaskLevel:
    """How good a model is on a task, and whether that is better than guessing."""
    scores, chances = scores_of(result), chances_of(result, task)
    can_guess = result.metric != "bits" and bool(np.any(chances > 0))
    return TaskLevel(level(scores), better_than_guessing(scores, chances) if can_guess else math.nan)


def metric_of(metric: str) -> Metric:
    """Which way a metric of a task is better, by its name, and in what people read it."""
    return BITS_PER_BYTE if metric == "bits" else SCORE


def scores_of(result: TaskResult) -> TaskScores:
    """The metric that is reported, of every item that has it. Bits per byte weigh as much as the answer has bytes.

    Raises SapwoodError where no item has it.
    """
    return by_task(_row(result, item) for item in _counted(result))[result.task, ""]


def chances_of(result: TaskResult, task: Task) -> Floats:
    """What guessing scores on each of these items."""
    if task.chance is not None:
        return np.full(len(_counted(result)), task.chance)
    return np.array([1 / len(item.options) if item.options else result.chance for item in _counted(result)])


def pair_results(before: TaskResult, after: TaskResult) -> Pairs:
    """Two models on the same items, by the reported metric.

    Raises SapwoodError where the two are not answers to the same questions.
    """
    _check(before, after)
    return pair(scores_of(before), scores_of(after), metric_of(before.metric))


def _counted(result: TaskResult) -> list[ItemResult]:
    found = [item for item in result.items if _is_counted(result, item)]
    if not found:
        raise SapwoodError(f"Task '{result.task}': no item has the metric '{result.metric}'. Evaluate it again.")
    return found


def _is_counted(result: TaskResult, item: ItemResult) -> bool:
    return bool(item.bytes) if result.metric == "bits" else item.score(result.metric) is not None


def _row(result: TaskResult, item: ItemResult) -> ItemScore:
    if result.metric == "bits":
        length = item.bytes or 0
        return ItemScore("", result.task, item.id, (item.bits or 0.0) / length, item.cluster, length)
    return ItemScore("", result.task, item.id, item.score(result.metric) or 0.0, item.cluster)


def _check(before: TaskResult, after: TaskResult) -> None:
    if before.metric != after.metric:
        raise SapwoodError(
            f"Task '{before.task}': '{before.metric}' is reported in one result, and '{after.metric}' in the other. "
            "Evaluate both models with the same suite."
        )
    asked = {item.id: item.prompt for item in before.items}
    differing = [item.id for item in after.items if asked.get(item.id, item.prompt) != item.prompt]
    if differing:
        raise SapwoodError(
            f"Task '{before.task}': {len(differing)} items were asked with other prompts, such as '{differing[0]}'. "
            "Evaluate both models with the same suite and the same files of items."
        )
