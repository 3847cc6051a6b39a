"""The share of replay follows what is being lost, within its limits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.mixture.governor import govern
from sapwood.mixture.measured import Measured, improvement
from sapwood.recipe.mixture import Replay

SHARES = {"en": Fraction(15, 100), "zh": Fraction(60, 100), "code": Fraction(5, 100), "synthetic": Fraction(20, 100)}
MARGIN = 0.01


def replay(**fields: Any) -> Replay:
    return Replay(**{"groups": ["en", "code"], "least": Fraction(5, 100), "most": Fraction(1, 2), **fields})


def lost(**changes: tuple[float, float]) -> dict[str, Measured]:
    return {
        name: Measured(
            bits_per_byte=0.9, standard_error=0.01, nats_per_token=2.0, since_base=improvement(-change[0], change[1])
        )
        for name, change in changes.items()
    }


def share_of_replay(shares: dict[str, Fraction]) -> Fraction:
    return shares["en"] + shares["code"]


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ((0.0061, 0.001), 5),  # beyond half of the margin by more than its error
        ((0.0059, 0.001), 0),
        ((0.0111, 0.001), 10),  # beyond all of it
        ((0.0109, 0.001), 5),
        ((0.0014, 0.001), -5),  # with its error within a quarter
        ((0.0016, 0.001), 0),
        ((-0.5, math.inf), 0),
    ],
)
def test_the_thresholds(change: tuple[float, float], points: int) -> None:
    decision = govern(replay(), SHARES, lost(general=change), MARGIN)
    assert share_of_replay(decision.shares) == Fraction(20 + points, 100)
    assert (decision.shares == SHARES) == (points == 0)


def test_proportions_stay_and_the_reason_is_readable() -> None:
    decision = govern(replay(), SHARES, lost(general=(0.0081, 0.001), law=(0.0, 0.001)), MARGIN)
    assert decision.shares == {
        "en": Fraction(1875, 10_000),
        "zh": Fraction(5625, 10_000),
        "code": Fraction(625, 10_000),
        "synthetic": Fraction(1875, 10_000),
    }
    assert decision.reasons == (
        "Replay +5.0 points to 25.0%: general is 0.0081 bits per byte worse than the base model "
        "(standard error 0.001), beyond half of the margin of 0.01.",
    )
    assert decision.state == {}


def test_one_domain_that_is_not_shown_to_be_kept_holds_replay_up() -> None:
    losses = lost(general=(0.0, 0.001), law=(0.003, 0.001))
    decision = govern(replay(), SHARES, losses, MARGIN)
    assert decision.shares == SHARES
    assert decision.reasons == (
        "Replay stays at 20.0%: no retention domain is shown to be beyond half of the margin of 0.01, and law is not "
        "shown to be within a quarter of it.",
    )
    unknown = {"law": Measured(bits_per_byte=0.9, standard_error=0.01, nats_per_token=2.0)}
    assert govern(replay(), SHARES, {**lost(general=(0.0, 0.001)), **unknown}, MARGIN).shares == SHARES


def test_without_measurements_or_without_replay_nothing_moves() -> None:
    decision = govern(replay(), SHARES, {}, MARGIN)
    assert decision.shares == SHARES
    assert decision.reasons == ("Replay stays at 20.0%: nothing was measured of the retention domains.",)
    assert govern(replay(groups=["old"]), SHARES, lost(general=(1.0, 0.0)), MARGIN).shares == SHARES


def test_at_its_limits_it_stays_and_says_so() -> None:
    bad, good = lost(general=(0.1, 0.001)), lost(general=(-0.1, 0.001))
    most = govern(replay(most=Fraction(20, 100)), SHARES, bad, MARGIN)
    assert most.shares == SHARES
    assert most.reasons[0].startswith("Replay stays at 20.0%, the most: general is 0.1 bits per byte worse")
    least = govern(replay(least=Fraction(20, 100)), SHARES, good, MARGIN)
    assert least.shares == SHARES
    assert least.reasons == (
        "Replay stays at 20.0%, the least: the only retention domain is shown to be within a quarter of the margin of "
        "0.01.",
    )


def test_from_outside_of_its_limits_it_goes_there_step_by_step() -> None:
    high = govern(replay(most=Fraction(12, 100)), SHARES, lost(general=(0.1, 0.01)), MARGIN)
    assert share_of_replay(high.shares) == Fraction(12, 100)  # in great need it may go two steps at once, both ways
    low = govern(replay(least=Fraction(40, 100)), SHARES, lost(general=(0.004, 0.001)), MARGIN)
    assert share_of_replay(low.shares) == Fraction(25, 100)
    assert low.reasons[0].startswith("Replay +5.0 points to 25.0%: it lay outside its limits, from 40.0% to 50.0%; no")


def test_replay_never_falls_to_nothing() -> None:
    shares, settings = SHARES, replay(least=Fraction(0))
    for _ in range(6):
        shares = govern(settings, shares, lost(general=(-0.1, 0.001)), MARGIN).shares
    assert shares["en"] == shares["code"] == Fraction(1, 10_000)
    assert share_of_replay(govern(settings, shares, lost(general=(0.1, 0.001)), MARGIN).shares) == Fraction(1002, 10**4)


changes = st.tuples(st.floats(min_value=-0.03, max_value=0.03), st.sampled_from([0.0, 0.001, 0.005, math.inf]))


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.lists(st.integers(min_value=0, max_value=1000), min_size=4, max_size=4).filter(any),
    st.lists(st.dictionaries(st.sampled_from(["general", "law"]), changes), min_size=1, max_size=4),
    st.fractions(min_value=0, max_value=Fraction(1, 2), max_denominator=500),
    st.fractions(min_value=Fraction(1, 2), max_value=1, max_denominator=500),
    st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000),
)
def test_limits_steps_and_proportions_always_hold(parts, turns, least, most, step) -> None:  # type: ignore[no-untyped-def]
    shares = {name: Fraction(part, sum(parts)) for name, part in zip(SHARES, parts, strict=True)}
    governor = replay(least=least, most=most, step=step)
    for turn in turns:
        decision = govern(governor, shares, lost(**turn), MARGIN)
        assert sum(decision.shares.values()) == 1
        before, after = share_of_replay(shares), share_of_replay(decision.shares)
        unit = Fraction(1, 10_000)
        assert abs(after - before) <= 2 * step + 2 * unit  # two units where a group would fall to nothing
        if least <= before <= most and before not in (0, 1):
            assert min(least, before) - 2 * unit < after < max(most, before) + 2 * unit
        for first, second, whole, was in (("en", "code", after, before), ("zh", "synthetic", 1 - after, 1 - before)):
            for name in (first, second):
                assert (decision.shares[name] > 0) == (shares[name] > 0)
                if was and decision.shares != shares:
                    assert abs(decision.shares[name] - shares[name] / was * whole) < 2 * unit
        shares = decision.shares


def test_the_order_of_groups_plays_no_part() -> None:
    losses = lost(general=(0.02, 0.001))
    turned = dict(reversed(SHARES.items()))
    assert govern(replay(), turned, losses, MARGIN).shares == govern(replay(), SHARES, losses, MARGIN).shares
