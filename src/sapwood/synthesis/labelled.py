"""Items whose answers somebody, or a program, has called right or wrong; and what they say of the stages."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import read_json, reading, write_lines
from sapwood.generation.client import Failure
from sapwood.runs.manifest import read_manifest
from sapwood.statistics.proportion import wilson
from sapwood.synthesis.account import read_records
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage

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
class ThresholdPoint(Kept):
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
    points: tuple[ThresholdPoint, ...]
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
                            ThresholdPoint(point["kept"], point["right"], point["threshold"], point["all_right"])
                            for point in stage["curve"]
                        ),
                    )
                    for name, stage in found["stages"].items()
                },
                accepted=None if accepted is None else Kept(accepted["kept"], accepted["right"]),
            )


def curve(rows: Iterable[tuple[float, bool]]) -> list[ThresholdPoint]:
    """One point for every score that occurs, from the lowest to the highest.

    `rows` are the score that the stage gave to an item, and whether the item is right.
    """
    ordered = sorted(rows, key=lambda row: row[0], reverse=True)
    all_right = sum(right for _, right in ordered)
    points, kept, right = [], 0, 0
    for threshold, group in itertools.groupby(ordered, key=lambda row: row[0]):
        labels = [label for _, label in group]
        kept, right = kept + len(labels), right + sum(labels)
        points.append(ThresholdPoint(kept, right, threshold, all_right))
    return points[::-1]


def choose(points: Iterable[ThresholdPoint], precision: float) -> ThresholdPoint | None:
    """The lowest threshold of which the precision is at least so high, by the lower bound of its interval.

    None where no threshold reaches it: the stage is too weak, or the labelled items are too few.
    """
    enough = [point for point in points if point.interval[0] >= precision]
    return min(enough, key=lambda point: point.threshold, default=None)


Labelled = tuple[Item, bool]
"""An item, and whether its answer is right."""
_SHOWN = ("question", "choices", "answer", "reasoning", "tests", "snippet")


def write_sample(directory: JobDirectory, file: Path, count: int) -> int:
    """Writes records of a finished job for somebody to label, with `correct: null` first; returns how many.

    Accepted ones and rejected ones that could be read come in turn, chosen by hashes. Raises SapwoodError where the job
    is not finished.
    """
    if read_manifest(directory.root, directory.remedy) is None:
        raise SapwoodError(f"{directory.root} holds no finished job: `sapwood synthesize JOB` finishes it.")
    accepted, rejected = (_choose(path, count, directory.remedy) for path in (directory.accepted, directory.rejected))
    half = count - min(len(rejected), count // 2)
    chosen = [*accepted[:half], *rejected[: count - min(len(accepted), half)]]
    write_lines(file, [{"correct": None, **{name: record[name] for name in _SHOWN}, **record} for record in chosen])
    return len(chosen)


def read_labelled(file: Path) -> list[Labelled]:
    """The labelled items in a JSONL file. Raises SapwoodError where a line is no item, or none has a label."""
    if not file.is_file():
        raise SapwoodError(f"There is no file {file}. `sapwood synthesize sample` writes one to label.")
    found: list[Labelled] = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            record = orjson.loads(line)
            label, item = record.get("correct"), Item.from_json(record)
        except (ValueError, TypeError, AttributeError) as error:
            raise SapwoodError(f"{file}:{number} is no item: {error}") from None
        if label not in (True, False, None):
            raise SapwoodError(f"{file}:{number}: found `correct`: {label!r}. Write true or false.")
        if label is not None:
            found.append((item, label))
    if not found:
        raise SapwoodError(f"No line of {file} is labelled. Set `correct` to true or false.")
    return found


def calibrate_stages(labelled: Sequence[Labelled], stages: Sequence[Stage], ask: Ask, target: float) -> Calibration:
    """What each stage's thresholds would let through, and how many of what all stages accept are right.

    What a server refuses, or never answers, is not accepted. Raises SapwoodError where a server gives no answer this
    time.
    """
    items = [item for item, _ in labelled]
    passed = [True] * len(items)
    curves: dict[str, StageCurve] = {}
    for stage in stages:
        verdicts = stage.check(items, ask)
        failures = [verdict for verdict in verdicts if isinstance(verdict, Failure) and not verdict.final]
        if failures:
            raise SapwoodError(
                f"{stage.name}: {len(failures)} requests have no answer ({failures[0].reason}). Try again."
            )
        rows = []
        for number, verdict in enumerate(verdicts):
            if isinstance(verdict, Failure):
                passed[number] = False
            elif verdict is not None:
                passed[number] = passed[number] and verdict.passed
                if verdict.score is not None:
                    rows.append((verdict.score, labelled[number][1]))
        if rows:
            points = curve(rows)
            chosen = choose(points, target)
            curves[stage.name] = StageCurve(None if chosen is None else chosen.threshold, tuple(points))
    kept = [right for (_, right), passes in zip(labelled, passed, strict=True) if passes]
    return Calibration(target, len(labelled), curves, Kept(len(kept), sum(kept)) if kept else None)


def _choose(path: Path, count: int, remedy: str) -> list[dict[str, Any]]:
    """As good as random, and the same every time; a larger count chooses the same and more."""
    records = (record for record in read_records(path, remedy) if "question" in record)
    return heapq.nsmallest(count, records, key=lambda r: xxhash.xxh3_64_intdigest(f"label\0{r['attempt']}".encode()))
