"""The benchmarks as the card shows them: a table for each suite, and what is to be said below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sapwood.evaluation.comparison import ComparedTask, Comparison
from sapwood.report.judged import tasks_table
from sapwood.report.table import Table
from sapwood.report.verdict import lead
from sapwood.report.wording import count, interval, listed, score, score_change
from sapwood.statistics.change import BITS_PER_BYTE, SCORE


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """One suite."""

    suite: str
    verdict: str
    """Of all tasks that are judged, in a sentence; empty where none is."""
    table: Table
    """Task, metric, aim, items, before, after, change, its interval, the detectable change, verdict."""
    remarks: tuple[str, ...]


def benchmarks(comparison: Comparison) -> Benchmarks:
    """A comparison in words. Scores are in points of 100, bits per byte in bits."""
    tasks = tuple(comparison.tasks.values())
    return Benchmarks(
        comparison.suite,
        lead((), (comparison,)),
        tasks_table(comparison),
        tuple(remark for task in tasks for remark in _remarks(task)) + tuple(_margins(tasks)),
    )


def at_chance(comparisons: tuple[Comparison, ...]) -> list[str]:
    """The tasks on which neither model is shown to do better than guessing."""
    return [task.task for comparison in comparisons for task in comparison.tasks.values() if task.at_chance]


def _remarks(task: ComparedTask) -> Iterator[str]:
    if task.flips is not None:
        flips = task.flips
        lost, won = (count(flip.estimate.value * flip.items) for flip in (flips.lost, flips.won))
        guessed = count(flips.by_guessing * flips.lost.items)
        luck = f"; where both guess, independently, about {guessed} of each come by luck" if guessed != "0" else ""
        yield f"{task.task}: items lost (right before, wrong now) {lost}, won {won}{luck}."
    if task.clean is not None and task.clean.n < task.change.n:
        clean = task.clean
        yield (
            f"{task.task}: {score_change(clean.value, clean.metric)} "
            f"({interval(clean.interval, clean.metric)}) on the {count(clean.n)} of "
            f"{count(task.change.n)} items that were not found in what was trained on."
        )


def _margins(tasks: tuple[ComparedTask, ...]) -> Iterator[str]:
    kept = [task.change for task in tasks if task.change.aim == "retention"]
    margins = {
        metric: {change.margin for change in kept if change.metric is metric} for metric in (SCORE, BITS_PER_BYTE)
    }
    found = [f"{score(margin, metric)} {metric.unit}" for metric, each in margins.items() for margin in each]
    if found:
        yield f"A task to keep counts as kept when its whole interval lies above a loss of {listed(found)}."
