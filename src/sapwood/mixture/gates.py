"""When a stage ends before its budget does.

Both gates are one-sided and ask for evidence: what counts is not the change but the end of an interval of one standard
error around it. A change that truly lies at the threshold passes it by chance in one of six measurements (16%), and
rounds and domains give chances anew; a threshold should lie well beyond what would still be accepted.
"""

from __future__ import annotations

import math

from sapwood.mixture.controllers.wording import listed
from sapwood.mixture.measured import Losses
from sapwood.recipe.mixture import Gate


def early_end(gate: Gate, gain: Losses, retention: Losses) -> str | None:
    """Why the stage should end now, in a sentence; None where it should go on, or where nothing was measured.

    `gain` and `retention` are what was measured of the recipe's domains under these names, by domain.

    Retention is broken when the change since the base model of any domain, less one standard error, exceeds
    `gate.retention`. Gain is flat when the mean over the gain domains of the improvement in the last round, plus one
    standard error of it, is below `gate.flat`; the errors of domains are independent, as their documents are. Gain is
    not judged before every gain domain has been measured twice. Retention is told first.
    """
    return _broken(gate, retention) or _flat(gate, gain)


def _broken(gate: Gate, retention: Losses) -> str | None:
    changes = {name: each.since_base for name, each in retention.items() if each.since_base is not None}
    if gate.retention is None or not changes:
        return None
    worst = max(changes, key=lambda name: (-changes[name].value - changes[name].standard_error, name))
    change = changes[worst]
    if not -change.value - change.standard_error > gate.retention:
        return None
    return (
        f"Retention is broken: {worst} is {-change.value:.3g} bits per byte worse than the base model (standard error "
        f"{change.standard_error:.2g}), more than the {gate.retention:g} that the gate allows."
    )


def _flat(gate: Gate, gain: Losses) -> str | None:
    changes = [each.since_last for each in gain.values() if each.since_last is not None]
    if gate.flat is None or not changes or len(changes) < len(gain):
        return None
    improvement = math.fsum(change.value for change in changes) / len(changes)
    error = math.sqrt(math.fsum(change.standard_error**2 for change in changes)) / len(changes)
    if not improvement + error < gate.flat:
        return None
    did = f"improved {listed(sorted(gain))} by" if improvement >= 0 else f"made {listed(sorted(gain))} worse by"
    average = " on average" if len(changes) > 1 else ""
    return (
        f"Gain is flat: the last round {did} {abs(improvement):.3g} bits per byte{average} "
        f"(standard error {error:.2g}); the gate asks for {gate.flat:g}."
    )
