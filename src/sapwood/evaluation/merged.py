"""Merged weights, measured: where they lie, and what they gained and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import Evaluation, read_evaluation
from sapwood.recipe.schema import Recipe
from sapwood.statistics.change import Change

FOLDER = "merged"
"""Below the directory of evaluations, apart from those of the models that were trained."""
LAST = "last"
"""The weights of the last checkpoint as they are, to compare all others with."""
EMA = "ema"


@dataclass(frozen=True, slots=True)
class Point:
    """Weights between the base model and some merged ones."""

    series: str
    """What was merged: `last`, `ema`, `mean-8`, `linear-8`."""
    share: float
    """How far from the base model to the merged weights, of the whole way."""
    since_backbone: tuple[Change, ...]
    since_last: tuple[Change, ...]
    """The same against the weights of the last checkpoint."""

    @property
    def name(self) -> str:
        """The series in words."""
        kind, _, count = self.series.rpartition("-")
        known = {LAST: "last weights", EMA: "EMA", f"mean-{count}": f"mean of {count}"}
        return known.get(self.series, f"{kind} decay over {count}")

    @property
    def is_reference(self) -> bool:
        """Whether these are the last weights themselves."""
        return self.series == LAST and self.share == 1

    @property
    def met(self) -> str:
        """How many of the recipe's demands are met."""
        passed = sum(change.passed for change in self.since_backbone)
        return f"{passed} of {len(self.since_backbone)}"


def label_of(checkpoint: str, series: str, share: float) -> str:
    """The label of an evaluation of merged weights, of which `checkpoint` is the last."""
    return f"{FOLDER}/{checkpoint}/{series}/{share:g}"


def read_points(recipe: Recipe, directory: Path, checkpoint: str, base: Evaluation) -> list[Point]:
    """All points that were measured of a run's state, as long as they can be compared with the base model `base`.

    `directory` is that of the run's evaluations. The last weights must be among them; their series comes first.
    """
    found = {}
    for path in (directory / FOLDER / checkpoint).glob("*/*.json"):
        evaluation = read_evaluation(path)
        if evaluation.settings == base.settings:
            found[path.parent.name, float(path.stem)] = evaluation
    last = found[LAST, 1.0]
    return [
        Point(series, share, tuple(judge(recipe, base, evaluation)), tuple(judge(recipe, last, evaluation)))
        for (series, share), evaluation in sorted(found.items(), key=lambda item: (item[0][0] != LAST, item[0]))
    ]
