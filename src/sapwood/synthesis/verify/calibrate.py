"""Chooses thresholds by items that people labelled, instead of believing in round numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sapwood.files import read_json, reading
from sapwood.statistics.proportion import wilson

REMEDY = "Remove it, and run `sapwood synthesize calibrate`."


@dataclass(frozen=True, slots=True)
class Kept:
    """Labelled items that are kept."""

    kept: int
    right: int
    """How many of them are right."""

    @property
    def precision(self) -> float:
        """The share that is right."""
        return self.right / self.kept

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the precision, by Wilson."""
        return wilson(self.right, self.kept)

    def to_json(self) -> dict[str, float]:
        """With the precision and its interval, for who reads the file."""
        low, high = self.interval
        return {"kept": self.kept, "right": self.right, "precision": self.precision, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Point(Kept):
    """What a stage would keep with one threshold: the labelled items with this score or more."""

    threshold: float
    all_right: int
    """How many are right of all that were labelled, kept or not."""

    @property
    def recall(self) -> float:
        """The share of the right that is kept; 0 where none is right."""
        return self.right / self.all_right if self.all_right else 0.0

    def to_json(self) -> dict[str, float]:
        """See `Kept.to_json`."""
        # Not `super()`: a dataclass with slots is another class than the one that was written.
        return {
            "threshold": self.threshold,
            **Kept.to_json(self),
            "all_right": self.all_right,
            "recall": self.recall,
        }


@dataclass(frozen=True, slots=True)
class StageCurve:
    """What every threshold of a stage would keep."""

    threshold: float | None
    """The lowest one whose precision is above the target for sure; None where none is."""
    points: tuple[Point, ...]
    """By threshold, ascending."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What labelled items say of the stages of a job."""

    target: float
    """The precision that is asked for."""
    labelled: int
    """How many items."""
    stages: Mapping[str, StageCurve]
    """Of those that give scores."""
    accepted: Kept | None
    """What all stages together accept; None where that is nothing."""

    def to_json(self) -> dict[str, Any]:
        """As `calibration.json` has it."""
        return {
            "target": self.target,
            "labelled": self.labelled,
            "stages": {
                name: {"threshold": stage.threshold, "curve": [point.to_json() for point in stage.points]}
                for name, stage in self.stages.items()
            },
            "accepted": None if self.accepted is None else self.accepted.to_json(),
        }

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Reads what `to_json` gave; None where nothing was calibrated. Raises SapwoodError where it is damaged."""
        if not file.exists():
            return None
        found = read_json(file, REMEDY)
        with reading(file, REMEDY):
            accepted = found["accepted"]
            return cls(
                target=found["target"],
                labelled=found["labelled"],
                stages={
                    name: StageCurve(
                        stage["threshold"],
                        tuple(
                            Point(point["kept"], point["right"], point["threshold"], point["all_right"])
                            for point in stage["curve"]
                        ),
                    )
                    for name, stage in found["stages"].items()
                },
                accepted=None if accepted is None else Kept(accepted["kept"], accepted["right"]),
            )


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
        points.append(Point(kept, right, threshold, all_right))
    return points[::-1]


def choose(points: Iterable[Point], precision: float) -> Point | None:
    """The lowest threshold of which the precision is at least so high, by the lower bound of its interval.

    None where no threshold reaches it: the stage is too weak, or the labelled items are too few.
    """
    enough = [point for point in points if point.interval[0] >= precision]
    return min(enough, key=lambda point: point.threshold, default=None)
