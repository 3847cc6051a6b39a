"""Chooses thresholds by items that people labelled, instead of believing in round numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from sapwood.statistics.proportion import wilson


@dataclass(frozen=True, slots=True)
class Point:
    """What a stage would keep with one threshold: the labelled items with this score or more."""

    threshold: float
    kept: int
    right: int
    """How many of the kept are right."""
    all_right: int
    """How many are right of all that were labelled, kept or not."""

    @property
    def precision(self) -> float:
        """The share of the kept that is right."""
        return self.right / self.kept

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the precision, by Wilson."""
        return wilson(self.right, self.kept)

    @property
    def recall(self) -> float:
        """The share of the right that is kept; NaN where none is right."""
        return self.right / self.all_right if self.all_right else float("nan")


def curve(rows: Iterable[tuple[float, bool]]) -> list[Point]:
    """One point for every score that occurs, from the lowest to the highest.

    `rows` are the score that the stage gave to an item, and whether the item is right.
    """
    ordered = sorted(rows, key=lambda row: row[0], reverse=True)
    all_right = sum(right for _, right in ordered)
    points, kept, right = [], 0, 0
    for threshold, group in itertools.groupby(ordered, key=lambda row: row[0]):
        labels = [label for _, label in group]
        kept, right = kept + len(labels), right + sum(labels)
        points.append(Point(threshold, kept, right, all_right))
    return points[::-1]


def choose(points: Iterable[Point], precision: float) -> Point | None:
    """The lowest threshold of which the precision is at least so high, by the lower bound of its interval.

    None where no threshold reaches it: the stage is too weak, or the labelled items are too few. `least_rows` says how
    many that takes.
    """
    enough = [point for point in points if point.interval[0] >= precision]
    return min(enough, key=lambda point: point.threshold, default=None)


def least_rows(precision: float) -> int:
    """How many kept items it takes to show this precision if every one of them is right."""
    if not 0 <= precision < 1:
        raise ValueError(f"a precision of {precision} cannot be shown")
    return next(rows for rows in itertools.count(1) if wilson(rows, rows)[0] >= precision)
