from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.statistics.proportion import wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # By hand with z = 1.959964: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (15, 148, 0.0624, 0.1605),
        (81, 263, 0.2553, 0.3662),
        (1, 29, 0.0061, 0.1718),
        (0, 20, 0.0, 0.1611),
    ],
)
def test_known_intervals(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson(hits, trials) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_it_holds_the_share_and_is_symmetric(case: tuple[int, int]) -> None:
    hits, trials = case
    low, high = wilson(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert low < high
    assert wilson(trials - hits, trials) == pytest.approx((1 - high, 1 - low))
    wider, narrower = wilson(hits, trials, 0.99), wilson(hits, trials, 0.8)
    assert wider[0] <= low <= narrower[0]
    assert wider[1] >= high >= narrower[1]


def test_nothing_is_known_of_no_trials() -> None:
    assert wilson(0, 0) == (0, 1)
    for hits, trials in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="no share"):
            wilson(hits, trials)
