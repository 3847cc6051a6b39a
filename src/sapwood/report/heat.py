"""The heat map of losses: topics, or sources, by the tokens trained on, each cell the change since the base model.

It is a table whose cells the style sheet colours: what can be seen can be read, printed and reached by keyboard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sapwood.report.domains import changes, compared
from sapwood.report.run_view import RunView
from sapwood.statistics.estimate import Estimate

MOST_NUMBERS = 12
"""Of more evaluations, the cells show colours alone, and a second table so many columns of numbers."""
MOST_CELLS = 3000
"""Of more, the columns are thinned, which keeps the page small."""
_STRENGTHS = (1.0, 0.5, 0.1, 0.0)
"""Of the largest change, which the legend shows."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A change since the base model."""

    change: Estimate
    interval: tuple[float, float]
    strength: int
    """Of its colour, in percent."""

    @property
    def better(self) -> bool:
        """Whether there are fewer bits per byte than the base model needs."""
        return self.change.value > 0


@dataclass(frozen=True, slots=True)
class HeatRows:
    """The topics of a source, or all sources that are not divided."""

    title: str
    """The source that is divided; empty for those that are not."""
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    """By name, a cell for each column; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Changes over the run."""

    tokens: tuple[int, ...]
    """Trained on before each column."""
    evaluations: int
    """How many there are, of which each column is one."""
    parts: tuple[HeatRows, ...]
    legend: tuple[tuple[float, int], ...]
    """Some changes, the lowest first, and how strong their colour is."""

    @property
    def numbered(self) -> bool:
        """Whether there is room for a number in each cell."""
        return len(self.tokens) <= MOST_NUMBERS

    @property
    def numbers(self) -> HeatMap:
        """So few columns that each has room for its numbers."""
        return self.thinned(MOST_NUMBERS)

    def thinned(self, most: int) -> HeatMap:
        """At most so many columns, evenly spaced, the first and the last among them."""
        columns = len(self.tokens)
        if columns <= most:
            return self
        chosen = [(columns - 1) * place // (most - 1) for place in range(most)]
        parts = [
            replace(part, rows=tuple((name, tuple(cells[at] for at in chosen)) for name, cells in part.rows))
            for part in self.parts
        ]
        return replace(self, tokens=tuple(self.tokens[at] for at in chosen), parts=tuple(parts))


def heat_map(facts: RunView) -> HeatMap | None:
    """The changes of all topics, and of sources that are not divided, in every evaluation that can be compared.

    None where the model was measured less than twice since the base model.
    """
    evaluations = [item for item in compared(facts) if item is not facts.base]
    if len(evaluations) < 2:
        return None
    measured = dict.fromkeys(name for item in evaluations for name in item.domains)
    found: list[tuple[str, list[tuple[str, list[Estimate | None]]]]] = [("", [])]
    for source in facts.recipe.sources:
        topics = [name for name in measured if name.startswith(f"{source}/")]
        rows = [(name.removeprefix(f"{source}/"), changes(facts, evaluations, name)) for name in topics or [source]]
        rows = [(name, values) for name, values in rows if any(values)]
        found.append((source, rows)) if topics else found[0][1].extend(rows)
    values = [value.value for _, rows in found for _, row in rows for value in row if value is not None]
    most = max(map(abs, values), default=0.0)
    confidence = facts.recipe.evaluation.confidence
    whole = HeatMap(
        tokens=tuple(item.tokens for item in evaluations),
        evaluations=len(evaluations),
        parts=tuple(
            HeatRows(title, tuple((name, tuple(_cell(value, most, confidence) for value in row)) for name, row in rows))
            for title, rows in found
            if rows
        ),
        legend=_legend(most),
    )
    return whole.thinned(max(MOST_NUMBERS, MOST_CELLS // max(1, sum(len(rows) for _, rows in found))))


def _legend(most: float) -> tuple[tuple[float, int], ...]:
    ends = [(share * most, _strength(share * most, most)) for share in _STRENGTHS]
    return (*((-value, strength) for value, strength in ends), *reversed(ends[:-1]))


def _cell(change: Estimate | None, most: float, confidence: float) -> Cell | None:
    if change is None:
        return None
    return Cell(change, change.interval(confidence), _strength(change.value, most))


def _strength(change: float, most: float) -> int:
    """The square root of its share of the largest change, so that small losses are seen beside large gains."""
    return round(100 * math.sqrt(abs(change) / most)) if most else 0
