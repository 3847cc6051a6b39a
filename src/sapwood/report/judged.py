"""The tables of what was judged: domains by their held-out texts, and tasks. Every form of them is made from these."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.evaluation.comparison import ComparedTask, Comparison
from sapwood.report.aims import AIMS
from sapwood.report.table import Cell, Table, Tone, count, interval, number, p_value, score, score_change
from sapwood.report.verdict import SIGNS
from sapwood.report.wording import confidence
from sapwood.statistics.change import BITS_PER_BYTE, Change


def changes_table(changes: Sequence[Change], level: float) -> Table:
    """What became of every domain, in bits per byte, with intervals of the confidence `level`."""
    table = Table("domain", "aim", "documents", "before", "after", "change", f"{confidence(level)} interval", "verdict")
    for change in changes:
        levels = number(change.before), number(change.after), score_change(change.value, BITS_PER_BYTE)
        bounds = interval(change.interval, BITS_PER_BYTE)
        verdict = _verdict(change)
        table.add(change.name, AIMS[change.aim or ""], count(change.n), *levels, bounds, verdict, tone=_tone(change))
    return table


def tasks_table(comparison: Comparison) -> Table:
    """What became of every task, in points of 100 or in bits per byte."""
    table = Table(
        *("task", "metric", "aim", "items", "before", "after", "change"),
        *(f"{confidence(comparison.confidence)} interval", "p", "detectable", "verdict"),
        title=f"{comparison.model}, {comparison.suite}",
        folded=("verdict",),
    )
    for task in comparison.tasks.values():
        change, metric = task.change, task.change.metric
        levels = score(change.before, metric), score(change.after, metric), score_change(change.value, metric)
        table.add(
            *(task.task, metric.unit if task.in_bits else task.metric, AIMS[change.aim or ""], count(change.n)),
            *(*levels, interval(change.interval, metric), p_value(change.p_value), score(task.detectable, metric)),
            _task_verdict(task),
            tone=_tone(change),
        )
    return table


def _verdict(change: Change) -> Cell:
    """With a sign, so that no verdict is told by colour alone."""
    if not change.verdict:
        return Cell("")
    return Cell(f"{SIGNS[change.verdict]} {change.verdict}", change.verdict)


def _task_verdict(task: ComparedTask) -> Cell:
    found = _verdict(task.change)
    if not task.caveat:
        return found
    values = (found.value, task.caveat)
    return Cell(", ".join(filter(None, (found.text, task.caveat))), ", ".join(filter(None, values)))


def _tone(change: Change) -> Tone:
    return "warning" if change.fails else ""
