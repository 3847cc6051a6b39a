from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.mixture.apportion import Apportionment

shares = st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=40)


def weights_of(parts: list[int]) -> dict[str, Fraction]:
    return {f"d{number}": Fraction(part, sum(parts)) for number, part in enumerate(parts)}


@settings(max_examples=60, deadline=None)
@given(shares, st.integers(min_value=1, max_value=1500))
def test_every_prefix_is_within_one_sequence_of_every_share(parts: list[int], length: int) -> None:
    weights = weights_of(parts)
    order = Apportionment(weights, length)
    counts = dict.fromkeys(weights, 0)
    for slot in range(length):
        domain, rank = order.locate(slot)
        assert rank == counts[domain]
        counts[domain] += 1
        assert all(abs(counts[name] - weight * (slot + 1)) < 1 for name, weight in weights.items())
    assert order.counts(length) == counts


def test_two_thousand_domains() -> None:
    weights = weights_of([1] * 1999 + [2001])
    order = Apportionment(weights, 4000)
    counts = order.counts(2000)
    assert max(abs(counts[name] - weight * 2000) for name, weight in weights.items()) < 1


def test_positions_beyond_one_period_follow_the_period() -> None:
    weights = {"a": Fraction(1, 3), "b": Fraction(2, 3)}
    order = Apportionment(weights, 10**12)
    domain, rank = order.locate(3 * 10**11)
    assert rank == order.counts(3 * 10**11)[domain]
    assert order.counts(3 * 10**11) == {"a": 10**11, "b": 2 * 10**11}


@pytest.mark.parametrize("weights", [{}, {"a": Fraction(1, 2)}, {"a": Fraction(2), "b": Fraction(-1)}])
def test_weights_that_are_none_are_refused(weights: dict[str, Fraction]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        Apportionment(weights, 1)
