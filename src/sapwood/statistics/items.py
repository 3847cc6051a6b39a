"""What models made of the items of a task: rows of scores in, one score of each item out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import SapwoodError
from sapwood.statistics.estimate import Floats

Labels: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One answer of a model to an item. Several answers to the same item (samples) are several rows."""

    model: str
    """Models of several training seeds are several models."""
    task: str
    item: str
    score: float
    """1 for right and 0 for wrong, a part of a point, or any number such as bits per byte."""
    cluster: str | None = None
    """What ties items together: the passage that they ask about, the template that they were made from."""
    weight: float = 1.0
    """How much the item counts, such as its bytes where the score is bits per byte."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """The scores of a model on a task: for every item the mean over its samples.

    The item is the unit of all statistics: its samples say how sure its own mean is, and that is in the spread of the
    means already (Miller, arXiv 2411.00640).
    """

    items: tuple[str, ...]
    scores: Floats
    clusters: Labels
    """The number of every item's cluster; an item without one is a cluster of its own."""
    weights: Floats

    @property
    def independent(self) -> bool:
        """Whether no two items share a cluster."""
        return len(np.unique(self.clusters)) == len(self.items)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every item counts the same and has one verdict, 0 or 1."""
        return right_or_wrong(self.scores) and bool(np.all(self.weights == self.weights[0]))


def right_or_wrong(scores: Floats) -> bool:
    """Whether all scores are 0 or 1."""
    return bool(np.all((scores == 0) | (scores == 1)))


def by_task(rows: Iterable[ItemScore]) -> dict[tuple[str, str], TaskScores]:
    """The scores by task and model, items in the order in which they first come.

    Raises SapwoodError for a score that is no number, a weight that is not positive, and an item that changes its
    cluster or weight from one row to the next.
    """
    samples: dict[tuple[str, str], dict[str, list[ItemScore]]] = {}
    for row in rows:
        if not math.isfinite(row.score) or not 0 < row.weight < math.inf:
            raise SapwoodError(
                f"Item '{row.item}' of task '{row.task}', model '{row.model}': found a score of {row.score} and a "
                f"weight of {row.weight}; scores are finite numbers, and weights above 0."
            )
        found = samples.setdefault((row.task, row.model), {}).setdefault(row.item, [])
        if found and (found[0].cluster, found[0].weight) != (row.cluster, row.weight):
            raise SapwoodError(
                f"Item '{row.item}' of task '{row.task}', model '{row.model}', has several samples with different "
                f"clusters or weights. Give all rows of an item the same, or two items two names."
            )
        found.append(row)
    return {key: _columns(items) for key, items in samples.items()}


def _columns(items: dict[str, list[ItemScore]]) -> TaskScores:
    numbers: dict[tuple[bool, str], int] = {}
    first = [rows[0] for rows in items.values()]
    keys = [(row.cluster is None, row.item if row.cluster is None else row.cluster) for row in first]
    return TaskScores(
        items=tuple(items),
        scores=np.array([sum(row.score for row in rows) / len(rows) for rows in items.values()]),
        clusters=np.array([numbers.setdefault(key, len(numbers)) for key in keys]),
        weights=np.array([row.weight for row in first]),
    )
