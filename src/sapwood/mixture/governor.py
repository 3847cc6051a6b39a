"""The replay governor: how much old text is mixed in, by how much of the old abilities is being lost.

Beside the controllers, which share out among siblings, it moves one number, the share of the replay groups together,
and keeps it between the two limits of the recipe. It reads what the verdict will be about: the change of the
retention domains since the base model, against the margin declared beforehand. It acts at half of the margin, since
what it does takes a round to show, and lets go at a quarter, so that it does not swing between the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from sapwood.mixture.controllers import Decision
from sapwood.mixture.controllers.bounds import share_out
from sapwood.mixture.controllers.wording import listed, moved, percent
from sapwood.mixture.measured import Losses
from sapwood.mixture.weights import PRECISION
from sapwood.recipe.mixture import Replay
from sapwood.statistics.estimate import Estimate

PRESSURE = 0.5
"""A domain is under pressure when its change, less a standard error, exceeds this part of the margin."""
ALARM = 1.0
"""Beyond this part of it, less a standard error, replay rises by two steps."""
EASE = 0.25
"""Replay falls when every domain's change, plus a standard error, is below this part of the margin."""


def govern(settings: Replay, shares: Mapping[str, Fraction], retention: Losses, margin: float) -> Decision:
    """The groups' shares of the next round; nothing has to be remembered.

    `shares` are those of all groups now and sum to exactly 1; `retention` what was measured of the recipe's retention
    domains, by name; `margin` the recipe's, in bits per byte. The share of the replay groups together rises or falls by
    one step, or rises by two, in whole units of 1/10,000 within [least, most]; from outside of them it goes there at
    that pace. Replay groups keep their proportions among themselves, as the other groups do, to within a unit. A group
    whose share is 0 keeps it, and no other falls below one unit. Where nothing moves the shares are the very same.
    """
    replay = {name: share for name, share in shares.items() if share > 0 and name in settings.groups}
    others = {name: share for name, share in shares.items() if share > 0 and name not in settings.groups}
    now = sum(replay.values(), Fraction(0))
    if not replay or not others:
        reason = "Replay cannot move: there is nothing to share out between replay groups and others."
        return Decision(shares=dict(shares), reasons=(reason,))
    steps, reason = _steps(retention, margin)
    target = _target(settings, now, steps, (len(replay), PRECISION - len(others)))
    if target is None or Fraction(target, PRECISION) == now:
        at = (
            ", the most"
            if steps > 0 and now >= settings.most
            else ", the least"
            if steps < 0 and now <= settings.least
            else ""
        )
        return Decision(shares=dict(shares), reasons=(f"Replay stays at {percent(now)}{at}: {reason}.",))
    units = {**_in_proportion(replay, target), **_in_proportion(others, PRECISION - target)}
    share = Fraction(target, PRECISION)
    if steps == 0 or (share - now) * steps < 0:
        bounds = f"from {percent(settings.least)} to {percent(settings.most)}"
        reason = f"it lay outside its limits, {bounds}; {reason}"
    return Decision(
        shares={name: Fraction(units.get(name, 0), PRECISION) for name in shares},
        reasons=(f"Replay {moved(share - now, share)}: {reason}.",),
    )


def _steps(retention: Losses, margin: float) -> tuple[int, str]:
    """By how many steps replay should rise, and why, in words."""
    changes = {name: each.since_base for name, each in retention.items() if each.since_base is not None}
    if not changes:
        return 0, "nothing was measured of the retention domains"
    worst = max(changes, key=lambda name: (-changes[name].value - changes[name].standard_error, name))
    change = changes[worst]
    lost = -change.value - change.standard_error  # shown to be lost, at least
    state = (
        f"{worst} is {abs(change.value):.3g} bits per byte {'worse' if change.value < 0 else 'better'} than the "
        f"base model (standard error {change.standard_error:.2g})"
    )
    if lost > ALARM * margin:
        return 2, f"{state}, beyond the whole margin of {margin:g}"
    if lost > PRESSURE * margin:
        return 1, f"{state}, beyond half of the margin of {margin:g}"
    open_names = [name for name in sorted(retention) if not _eases(retention[name].since_base, margin)]
    if not open_names:
        count = {1: "the only retention domain is", 2: "both retention domains are"}.get(
            len(changes), f"all {len(changes)} retention domains are"
        )
        return -1, f"{count} shown to be within a quarter of the margin of {margin:g}"
    verb = "is" if len(open_names) == 1 else "are"
    return 0, (
        f"no retention domain is shown to be beyond half of the margin of {margin:g}, and {listed(open_names)} {verb} "
        "not shown to be within a quarter of it"
    )


def _eases(change: Estimate | None, margin: float) -> bool:
    return change is not None and -change.value + change.standard_error < EASE * margin


def _target(settings: Replay, now: Fraction, steps: int, possible: tuple[int, int]) -> int | None:
    """The next share of replay in units, among the possible ones; None where it stays."""
    proposed = min(max(now + steps * settings.step, settings.least), settings.most)
    if proposed == now:
        return None
    pace = settings.step * max(abs(steps), 1)
    slowest, fastest = math.ceil((now - pace) * PRECISION), math.floor((now + pace) * PRECISION)
    if slowest > fastest:
        return None
    units = math.floor(proposed * PRECISION) if proposed > now else math.ceil(proposed * PRECISION)
    least, most = math.ceil(settings.least * PRECISION), math.floor(settings.most * PRECISION)
    for low, high in ((least, most), (slowest, fastest), possible):
        if low <= high:  # limits may be so close that no whole unit lies between them
            units = min(max(units, low), high)
    return units


def _in_proportion(shares: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """So many units, in proportion to shares."""
    units = share_out(
        total,
        {name: math.log(float(share)) for name, share in shares.items()},
        dict.fromkeys(shares, (1, total)),
    )
    assert units is not None, "as many units as groups are kept free"
    return units
