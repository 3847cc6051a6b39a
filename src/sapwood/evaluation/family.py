"""Several changes judged together: the more one looks at, the more look like something by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sapwood.evaluation.gate import Verdict, decide
from sapwood.recipe.fields import Aim


class Uncertain(Protocol):
    """A change with its uncertainty, above zero is better: `Estimate`."""

    @property
    def value(self) -> float: ...
    @property
    def standard_error(self) -> float: ...
    @property
    def degrees_of_freedom(self) -> float: ...
    @property
    def p_value(self) -> float: ...
    def interval(self, confidence: float) -> tuple[float, float]: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """A change, and what it means in its family."""

    change: Uncertain
    interval: tuple[float, float]
    """Of this change alone, at the family's confidence."""
    adjusted_p_value: float
    """Of no change, two-sided, by Holm over the family."""
    verdict: Verdict


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: calling real all that lie below alpha is wrong, once or more, with probability alpha at most.

    The i-th smallest of m times m - i + 1, and never below the one before, whatever their dependence (Holm, 1979,
    Scandinavian Journal of Statistics 6:65).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def judge_family(
    kind: Aim, changes: Mapping[str, Uncertain], *, margin: float | Mapping[str, float] = 0.0, confidence: float = 0.95
) -> dict[str, Judgement]:
    """A verdict by `decide` on every change of a family that was declared beforehand; above zero is better.

    `margin` is the loss up to which something counts as kept: one for all, or one for each.

    That something changed (`gained`, `worse`, `improved`, `lost`) must hold by Holm's adjusted p-value over the family.
    That something was kept is judged by its own interval: who demands that all are kept errs only if the test of one
    that was lost does, so no adjustment is due (intersection-union test; Berger, 1982, Technometrics 24:295).
    """
    adjusted = holm([change.p_value for change in changes.values()])
    found = {}
    for (name, change), p_value in zip(changes.items(), adjusted, strict=True):
        interval = change.interval(confidence)
        allowed = margin if isinstance(margin, float | int) else margin[name]
        verdict = decide(kind, interval, allowed, shown=p_value < 1 - confidence)
        found[name] = Judgement(change, interval, p_value, verdict)
    return found
