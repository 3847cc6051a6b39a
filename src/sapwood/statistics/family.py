"""Several changes judged together: the more one looks at, the more look like something by chance."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.statistics.change import Change


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


def judge_family(changes: Sequence[Change]) -> list[Change]:
    """The changes of a family that was declared beforehand, each with its verdict and its p-value adjusted.

    That something changed (`gained`, `worse`, `improved`, `lost`) must hold by Holm's adjusted p-value over the family.
    That something was kept is judged by its own interval: who demands that all are kept errs only if the test of one
    that was lost does, so no adjustment is due (intersection-union test; Berger, 1982, Technometrics 24:295).
    """
    adjusted = holm([change.p_value for change in changes])
    return [change.judged(p_value) for change, p_value in zip(changes, adjusted, strict=True)]
