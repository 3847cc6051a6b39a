"""From the shares that a controller proposes to those that floors, caps and steps allow.

The allowed shares nearest to a proposal, by Kullback-Leibler divergence, are the proposal times one common factor, cut
off at each sibling's own bounds; the factor is found by bisection. They are then rounded to whole units of 1/10,000,
which keeps the denominators of shares small, in a way that never leaves the bounds (largest remainder).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from sapwood.mixture.controllers import Family
from sapwood.mixture.weights import PRECISION
from sapwood.recipe.mixture import Controller

_LAST = 3000.0
"""What is taken from the logarithm of a proposed weight of 0: such siblings come after all others, whose logarithms
span less than this."""
_SAME = 1e-12
"""Wishes that differ from the shares by a common factor up to this are the shares."""


def move(family: Family, proposed: Mapping[str, float], settings: Controller) -> dict[str, Fraction]:
    """The allowed shares nearest to the proposed ones, in the order of the family; they sum to exactly 1.

    `proposed` are numbers of 0 or more, of any sum. A proposal of 0 gives way to all others; a sibling without a
    proposal keeps its share exactly, and the others share out what they have together. Each sibling stays between
    max(floor, now - step) and min(cap, now + step), exactly; a floor never asks for more than the sibling's initial
    share, a cap never allows less, and neither asks for a move when the share now lies beyond it. No share that was
    above 0 falls below one unit; a share of 0 stays 0.

    The shares come back as they are, without rounding, when the proposal is proportional to them, when there is one
    sibling alone, and when the bounds leave no other shares of whole units. Raises ValueError for proposals below 0 or
    not finite.
    """
    now = {name: share for name, share in family.shares.items() if share > 0 and name in proposed}
    proposals = {name: proposed[name] for name in now}
    if any(proposal < 0 or not math.isfinite(proposal) for proposal in proposals.values()):
        raise ValueError(f"proposed shares must be finite and not below 0: {proposals}")
    ratios = [proposal / float(now[name]) for name, proposal in proposals.items()]
    if len(now) < 2 or max(ratios) <= min(ratios) * (1 + _SAME):
        return dict(family.shares)
    logarithms = {
        n: math.log(proposal) if proposal > 0 else math.log(float(now[n])) - _LAST for n, proposal in proposals.items()
    }
    bounds = {name: edges for name, edges in _bounds(family, settings).items() if name in now}
    # Shares that stay need not be whole units, so what the others have together need not be either.
    total = sum(now.values(), Fraction(0)) * PRECISION
    units = share_out(int(total), logarithms, bounds)
    if units is None:
        return dict(family.shares)
    shares = {name: Fraction(count, PRECISION) for name, count in units.items()}
    if remainder := (total - int(total)) / PRECISION:
        roomy = [name for name in shares if units[name] < bounds[name][1]]
        if not roomy:
            return dict(family.shares)
        shares[max(roomy, key=lambda name: (shares[name], name))] += remainder
    return {name: shares.get(name, share) for name, share in family.shares.items()}


def reached(family: Family, shares: Mapping[str, Fraction], settings: Controller) -> dict[str, str]:
    """Which bound has stopped a sibling on its way from the family's shares to these: its floor, its cap, or a step."""
    found = {}
    for name, (low, high) in _bounds(family, settings).items():
        floor, cap = _floor_and_cap(family, name, settings)
        units, before = shares[name] * PRECISION, family.shares[name] * PRECISION
        if units == low < before:
            found[name] = "its floor" if low == math.ceil(floor * PRECISION) else "a full step"
        elif units == high > before:
            found[name] = "its cap" if high == math.floor(cap * PRECISION) else "a full step"
    return found


def share_out(
    total: int, logarithms: Mapping[str, float], bounds: Mapping[str, tuple[int, int]]
) -> dict[str, int] | None:
    """Whole numbers that sum to `total`, in proportion to exp(`logarithms`) as far as the bounds (least, most) allow.

    Leasts are 1 or more. None when there are no such numbers. The order of the names plays no part.
    """
    impossible = any(low > high for low, high in bounds.values())
    if impossible or not sum(low for low, _ in bounds.values()) <= total <= sum(high for _, high in bounds.values()):
        return None
    edges = {name: (math.log(low), math.log(high)) for name, (low, high) in bounds.items()}

    def at(factor: float) -> dict[str, float]:
        scaled = {}
        for name, (low, high) in bounds.items():
            place = factor + logarithms[name]
            least, most = edges[name]
            scaled[name] = float(low) if place <= least else float(high) if place >= most else math.exp(place)
        return scaled

    below = min(edges[name][0] - logarithms[name] for name in bounds)
    above = max(edges[name][1] - logarithms[name] for name in bounds)
    for _ in range(100):
        middle = (below + above) / 2
        if math.fsum(at(middle).values()) < total:
            below = middle
        else:
            above = middle
    ideal = at(above)
    units = {name: math.floor(value) for name, value in ideal.items()}
    waiting = sorted(
        (name for name in bounds if units[name] < bounds[name][1]), key=lambda name: (units[name] - ideal[name], name)
    )
    for name in waiting[: total - sum(units.values())]:
        units[name] += 1
    return units


def _bounds(family: Family, settings: Controller) -> dict[str, tuple[int, int]]:
    """The least and the most of every sibling that has a share, in units."""
    bounds = {}
    for name, now in family.shares.items():
        if now > 0:
            floor, cap = _floor_and_cap(family, name, settings)
            low, high = max(floor, now - settings.step), min(cap, now + settings.step)
            bounds[name] = (math.ceil(low * PRECISION), math.floor(high * PRECISION))
    return bounds


def _floor_and_cap(family: Family, name: str, settings: Controller) -> tuple[Fraction, Fraction]:
    now, initial = family.shares[name], family.initial[name]
    floor = max(settings.floor, Fraction(1, PRECISION))
    return min(floor, initial or floor, now), max(settings.cap, initial, now)
