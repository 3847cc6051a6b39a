"""Items whose answers somebody, or a program, has called right or wrong; and what they say of the stages."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import write_lines
from sapwood.generation.client import Failure
from sapwood.runs.manifest import read_manifest
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.item import Item
from sapwood.synthesis.record import read_records
from sapwood.synthesis.stage import Ask, Stage
from sapwood.synthesis.verify.calibrate import Calibration, Kept, StageCurve, choose, curve

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
