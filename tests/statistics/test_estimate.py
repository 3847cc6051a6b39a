from __future__ import annotations

import math

import numpy as np
import pytest

from sapwood.statistics.estimate import Estimate, mean, ratio


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    assert ratio([1.0, 30.0], [10.0, 100.0]).value == pytest.approx(31 / 110)


def test_intervals_cover_the_true_ratio_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth, covered, trials = -0.3, 0, 4000
    for _ in range(trials):
        sizes = rng.integers(200, 900, size=16)
        changes = sizes * (truth + rng.normal(0, 0.08, size=16))
        low, high = ratio(changes, sizes).interval(0.95)
        covered += low <= truth <= high
    assert covered / trials == pytest.approx(0.95, abs=0.015)


def test_intervals_of_a_mean_over_sources_cover_too() -> None:
    rng = np.random.default_rng(1)
    covered, trials = 0, 3000
    for _ in range(trials):
        estimates = []
        for truth, spread, count in ((-0.4, 0.2, 12), (-0.2, 0.05, 20)):
            sizes = rng.integers(300, 800, size=count)
            estimates.append(ratio(sizes * (truth + rng.normal(0, spread, size=count)), sizes))
        low, high = mean(estimates).interval(0.9)
        covered += low <= -0.3 <= high
    assert covered / trials == pytest.approx(0.9, abs=0.02)


def test_one_document_shows_nothing() -> None:
    assert ratio([2.0], [4.0]).interval(0.95) == (-math.inf, math.inf)
    assert mean([ratio([2.0], [4.0]), ratio([1.0, 2.0], [4.0, 3.0])]).interval(0.95) == (-math.inf, math.inf)


def test_no_spread_is_a_point() -> None:
    assert ratio([1.0, 1.0], [2.0, 2.0]).interval(0.95) == (0.5, 0.5)
    assert mean([Estimate(1.0, 0.0, 3), Estimate(3.0, 0.0, 3)]).interval(0.95) == (2.0, 2.0)


def test_nothing_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="at least one document"):
        ratio([], [])


def test_documents_of_very_different_sizes_count_as_fewer() -> None:
    rng = np.random.default_rng(2)
    sizes = np.exp(rng.normal(0, 1, size=40))
    covered, trials = 0, 3000
    for _ in range(trials):
        low, high = ratio(sizes * rng.normal(0, 0.1, size=40), sizes).interval(0.95)
        covered += low <= 0 <= high
    assert covered / trials == pytest.approx(0.95, abs=0.02)
    assert ratio(sizes, sizes).degrees_of_freedom < 25


@pytest.mark.parametrize("falls", [True, False])
def test_large_clusters_do_not_hide_their_noise(falls: bool) -> None:
    """Whether or not the variance of a cluster's mean falls with its size."""
    rng, trials = np.random.default_rng(3), 4000
    sizes = np.array([1, 2, 2, 3, 4, 5, 8, 30])
    estimates = [ratio(sizes * rng.normal(size=8) / np.sqrt(sizes if falls else 1), sizes) for _ in range(trials)]
    true = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.standard_error**2 for estimate in estimates]) > 0.93 * true**2


def test_a_p_value_is_small_where_the_interval_leaves_out_zero() -> None:
    for value in (-3.0, -1.0, 0.5, 2.0):
        estimate = Estimate(value, 1.0, 4)
        low, high = estimate.interval(0.9)
        assert (estimate.p_value < 0.1) == (low > 0 or high < 0)
    assert Estimate(1.0, math.nan, math.nan).p_value == 1
    assert (Estimate(1.0, 0.0, 3).p_value, Estimate(0.0, 0.0, 3).p_value) == (0, 1)
