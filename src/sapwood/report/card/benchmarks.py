"""The benchmarks as the card shows them: a table for each suite, and what is to be said below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sapwood.evaluation.comparison import Comparison, TaskChange
from sapwood.report.aims import AIMS
from sapwood.report.verdict import SIGNS, lead
from sapwood.report.wording import confidence, count, interval, listed, score, score_change


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """One suite."""

    suite: str
    verdict: str
    """Of all tasks that are judged, in a sentence; empty where none is."""
    confidence: str
    rows: tuple[tuple[str, ...], ...]
    """Task, measure, aim, items, before, after, change, its interval, the detectable change, verdict."""
    remarks: tuple[str, ...]


def benchmarks(comparison: Comparison) -> Benchmarks:
    """A comparison in words. Scores are in points of 100, bits per byte in bits."""
    tasks = tuple(comparison.tasks.values())
    return Benchmarks(
        comparison.suite,
        lead((), (comparison,)),
        confidence(comparison.confidence),
        tuple(_row(task) for task in tasks),
        tuple(remark for task in tasks for remark in _remarks(task, comparison.confidence)) + tuple(_margins(tasks)),
    )


def at_chance(comparisons: tuple[Comparison, ...]) -> list[str]:
    """The tasks on which neither model is shown to do better than guessing."""
    return [task.task for comparison in comparisons for task in comparison.tasks.values() if task.at_chance]


def _row(task: TaskChange) -> tuple[str, ...]:
    bits = task.in_bits
    verdict = f"{SIGNS[task.verdict]} {task.verdict}" if task.verdict else ""
    return (
        task.task,
        "bits per byte" if bits else task.counts,
        AIMS[task.aim or ""],
        count(task.before.level.items),
        score(task.before.value, bits),
        score(task.value_after, bits),
        score_change(task.change.value, bits),
        interval(task.interval, bits),
        score(task.detectable, bits),
        ", ".join(filter(None, (verdict, task.caveat))),
    )


def _remarks(task: TaskChange, level: float) -> Iterator[str]:
    if task.flips is not None:
        flips = task.flips
        lost, won = (count(flip.estimate.value * flip.items) for flip in (flips.lost, flips.won))
        guessed = count(flips.by_guessing * flips.lost.items)
        luck = f"; where both guess, independently, about {guessed} of each come by luck" if guessed != "0" else ""
        yield f"{task.task}: items lost (right before, wrong now) {lost}, won {won}{luck}."
    if task.clean is not None and task.clean.items < task.before.level.items:
        change = task.clean.change
        yield (
            f"{task.task}: {score_change(change.value, task.in_bits)} "
            f"({interval(change.interval(level), task.in_bits)}) on the {count(task.clean.items)} of "
            f"{count(task.before.level.items)} items that were not found in what was trained on."
        )


def _margins(tasks: tuple[TaskChange, ...]) -> Iterator[str]:
    kept = [task for task in tasks if task.aim == "retention"]
    margins = {bits: {task.margin for task in kept if task.in_bits is bits} for bits in (False, True)}
    found = [f"{score(margin)} points" for margin in margins[False]]
    found += [f"{score(margin, True)} bits per byte" for margin in margins[True]]
    if found:
        yield f"A task to keep counts as kept when its whole interval lies above a loss of {listed(found)}."
