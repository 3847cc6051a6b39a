"""What a study is judged by: bits per byte of held-out text, or the score of a benchmark, in every trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sapwood.errors import SapwoodError, closest
from sapwood.evaluation.result import DocumentScore, Evaluation, read_evaluation
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.recipe.suite import load_suite
from sapwood.recipe.task import Task
from sapwood.runs.directory import RunDirectory
from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Aim, Metric
from sapwood.statistics.paired import Pairs
from sapwood.suites.item_result import read_task_result
from sapwood.suites.task_scores import level_of, pair_results, scores_of


@dataclass(frozen=True, slots=True)
class Primary:
    """One of the primary metrics."""

    name: str
    """As the study names it."""
    sources: tuple[str, ...]
    """Whose held-out text it is about; empty for a benchmark."""
    suite: str
    task: Task | None
    """The benchmark; None for held-out text."""
    aim: Aim | None
    """What the recipe, or the suite, wants of it."""
    metric: Metric
    """What its levels are, and which are better."""

    def level(self, run: RunDirectory, label: str) -> float:
        """How good a model of a run is: bits per byte, the mean over the sources, or the mean score."""
        if self.sources:
            evaluation = read_evaluation(run.evaluation / f"{label}.json")
            return sum(evaluation.domains[s].bits_per_byte.value for s in self.sources) / len(self.sources)
        scores = scores_of(read_task_result(self._result(run, label)))
        return float(np.average(scores.scores, weights=scores.weights))

    def pair(self, before: RunDirectory, first: str, after: RunDirectory, second: str) -> Pairs:
        """Two models, each of a run, on the same documents or items; differences above zero are better.

        Of several sources every one counts the same: their documents weigh what part they are of its bytes.
        Raises SapwoodError where the two were not measured on the same.
        """
        if not self.sources:
            return pair_results(
                read_task_result(self._result(before, first)), read_task_result(self._result(after, second))
            )
        one, other = (
            read_evaluation(run.evaluation / f"{label}.json") for run, label in ((before, first), (after, second))
        )
        items, scores, weights = [], [], []
        for source in self.sources:
            documents = _same(source, one, other, after)
            whole = sum(document.bytes for document, _ in documents)
            for document, again in documents:
                items.append(f"{source}/{document.id}")
                scores.append([found.nats / math.log(2) / found.bytes for found in (document, again)])
                weights.append(document.bytes / whole / len(self.sources))
        old, new = np.array(scores).T
        clusters = np.arange(len(items), dtype=np.intp)
        return Pairs(tuple(items), old, new, clusters, np.array(weights), BITS_PER_BYTE)

    def _result(self, run: RunDirectory, label: str) -> Path:
        assert self.task is not None
        return run.suite(self.suite, label) / self.task.name

    def at_chance(self, run: RunDirectory, label: str) -> bool:
        """Whether a model is not shown to do better than guessing; never of bits per byte."""
        if self.task is None:
            return False
        return level_of(read_task_result(self._result(run, label)), self.task).at_chance


def _same(
    source: str, one: Evaluation, other: Evaluation, run: RunDirectory
) -> list[tuple[DocumentScore, DocumentScore]]:
    """The documents of a source as both scored them."""
    before, after = (evaluation.domains[source].documents for evaluation in (one, other))
    if [(d.id, d.bytes) for d in before] != [(d.id, d.bytes) for d in after]:
        raise SapwoodError(
            f"{run.root} was measured on other held-out documents of '{source}' than what it is compared with: arms "
            "may not differ in what is held out or measured."
        )
    return [pair for pair in zip(before, after, strict=True) if pair[0].bytes]


def primaries_of(recipe: Recipe, names: list[str]) -> list[Primary]:
    """The metrics of these names. Raises SapwoodError for one that the recipe does not measure."""
    suites = {suite.name: suite for suite in map(load_suite, recipe.evaluation.suites)}
    known = [*recipe.groups, *recipe.sources, *(f"{s.name}/{task}" for s in suites.values() for task in s.tasks)]
    found = []
    for name in names:
        if name not in known:
            raise SapwoodError(
                f"primary: nothing that is measured is called '{name}'. {closest(name, known)} Groups, sources, and "
                "SUITE/TASK of the recipe's `evaluation.suites` are measured."
            )
        if name in recipe.groups or name in recipe.sources:
            aims: dict[str, Aim] = dict.fromkeys(recipe.evaluation.retention.domains, "retention")
            aims |= dict.fromkeys(recipe.evaluation.gain.domains, "gain")
            found.append(Primary(name, tuple(members(recipe, name)), "", None, aims.get(name), BITS_PER_BYTE))
        else:
            suite, _, task = name.partition("/")
            metric = BITS_PER_BYTE if suites[suite].tasks[task].reported == "bits" else SCORE
            found.append(Primary(name, (), suite, suites[suite].tasks[task], suites[suite].aim(task), metric))
    return found
