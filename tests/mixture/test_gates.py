"""A stage ends early on evidence only."""

from __future__ import annotations

import math

import pytest

from sapwood.mixture.gates import early_end
from sapwood.mixture.measured import Measured, improvement
from sapwood.recipe.mixture import Gate


def measured(since_last: tuple[float, float] | None = None, since_base: tuple[float, float] | None = None) -> Measured:
    return Measured(
        bits_per_byte=0.9,
        standard_error=0.01,
        nats_per_token=2.0,
        since_last=improvement(-since_last[0], since_last[1]) if since_last else None,
        since_base=improvement(-since_base[0], since_base[1]) if since_base else None,
    )


def test_broken_retention_names_the_worst_domain() -> None:
    retention = {"en": measured(since_base=(0.031, 0.002)), "code": measured(since_base=(0.04, 0.05))}
    assert early_end(Gate(retention=0.02), {}, retention) == (
        "Retention is broken: en is 0.031 bits per byte worse than the base model (standard error 0.002), more than "
        "the 0.02 that the gate allows."
    )


@pytest.mark.parametrize(
    "change", [(0.0219, 0.002), (0.02, 0.0), (-0.5, 0.001), (0.5, math.inf)], ids=["within", "at", "better", "unknown"]
)
def test_what_is_not_shown_does_not_end_a_stage(change: tuple[float, float]) -> None:
    assert early_end(Gate(retention=0.02), {}, {"en": measured(since_base=change)}) is None


def test_flat_gain_is_a_mean_with_its_error() -> None:
    # Means 0.0004 and errors 0.0003 and 0.0004: half of the root of their squares, 0.00025.
    gain = {"zh": measured((-0.0006, 0.0003)), "qa": measured((-0.0002, 0.0004))}
    assert early_end(Gate(flat=0.00066), gain, {}) == (
        "Gain is flat: the last round improved qa and zh by 0.0004 bits per byte on average (standard error 0.00025); "
        "the gate asks for 0.00066."
    )
    assert early_end(Gate(flat=0.00064), gain, {}) is None


def test_getting_worse_is_flat_too() -> None:
    reason = early_end(Gate(flat=0.001), {"zh": measured((0.002, 0.0005))}, {})
    assert reason == (
        "Gain is flat: the last round made zh worse by 0.002 bits per byte (standard error 0.0005); the gate asks for "
        "0.001."
    )


def test_gain_is_not_judged_before_all_of_it_was_measured_twice() -> None:
    gate, still = Gate(flat=0.001), measured((0.0, 0.0001))
    assert early_end(gate, {"zh": still, "qa": measured()}, {}) is None
    assert early_end(gate, {"zh": still, "qa": measured((0.0, math.inf))}, {}) is None
    assert early_end(gate, {}, {}) is None
    assert early_end(gate, {"zh": still}, {}) is not None


def test_a_gate_that_is_not_set_is_not_looked_at_and_retention_is_told_first() -> None:
    gain, retention = {"zh": measured((0.0, 0.0001))}, {"en": measured(since_base=(0.5, 0.001))}
    assert early_end(Gate(), gain, retention) is None
    for gate in (Gate(retention=0.1), Gate(retention=0.1, flat=0.1)):
        assert (early_end(gate, gain, retention) or "").startswith("Retention")
    assert (early_end(Gate(flat=0.1), gain, retention) or "").startswith("Gain")
