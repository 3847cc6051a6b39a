from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from made_pairs import clusters, right_or_wrong, task
from sapwood.statistics.level import level
from sapwood.statistics.proportion import wilson

pytestmark = pytest.mark.slow


@given(st.integers(1, 400), st.data())
def test_wilson_is_that_of_scipy(items: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, items))
    expected = binomtest(right, items).proportion_ci(0.95, "wilson")
    assert wilson(right, items) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_all_right_is_not_certain() -> None:
    assert level(task([1.0] * 20)).interval(0.95) == pytest.approx(wilson(20, 20))
    low, high = level(task([1.0] * 20, clusters([5] * 4))).interval(0.95)
    assert high == 1
    assert low < wilson(4, 4)[0], "four clusters tell no more than four items"


def test_one_cluster_tells_nothing() -> None:
    assert level(task([1.0, 0.0, 1.0], [0, 0, 0])).interval(0.95) == (0, 1)


def test_the_naive_error_is_too_small_in_clusters() -> None:
    scores = np.repeat([1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 10)
    found = level(task(scores, clusters([10] * 6)))
    assert (found.items, found.clusters) == (60, 6)
    assert found.naive_error == pytest.approx(np.std(scores, ddof=1) / np.sqrt(60))
    assert found.estimate.standard_error == pytest.approx(np.std([1, 0, 1, 0, 0, 1], ddof=1) / np.sqrt(6))


def test_parts_of_a_point_are_worth_more_items() -> None:
    found = level(task([0.75, 1.0, 0.75, 0.5, 1.0] * 20))
    low, high = found.interval(0.95)
    assert wilson(80, 100)[0] < low < 0.8 < high < wilson(80, 100)[1]
    assert level(task([1.0, 0.75] + [1.0] * 98)).interval(0.95)[1] < 1
    assert level(task([0.5] * 20)).interval(0.95)[0] < 0.35


@pytest.mark.parametrize("accuracy", [0.6, 0.95])
def test_intervals_of_means_over_samples_cover_the_true_accuracy(accuracy: float) -> None:
    random, trials = np.random.default_rng(1), 2000
    chances = random.beta(accuracy * 2, (1 - accuracy) * 2, size=(trials, 100))
    covered = 0
    for right in random.binomial(4, chances) / 4:
        low, high = level(task(right)).interval(0.95)
        covered += low <= accuracy <= high
    assert covered / trials == pytest.approx(0.95, abs=0.015)


def test_other_scores_have_the_t_interval() -> None:
    found = level(task([0.5, 0.7, 1.9, 0.4]))
    assert found.interval(0.9) == found.estimate.interval(0.9)
    weighted = level(task([1.0, 0.0, 1.0], weights=[1, 2, 3]))
    assert weighted.estimate.value == pytest.approx(4 / 6)
    assert weighted.interval(0.9) == weighted.estimate.interval(0.9)


@pytest.mark.parametrize("accuracy", [0.5, 0.9])
def test_intervals_in_clusters_cover_the_true_accuracy(accuracy: float) -> None:
    random, labels, trials = np.random.default_rng(0), clusters([5] * 40), 600
    covered = naive = 0
    for _ in range(trials):
        made = right_or_wrong(random, labels, accuracy, accuracy)
        low, high = level(task(made.after, labels)).interval(0.95)
        covered += low <= accuracy <= high
        low, high = level(task(made.after)).interval(0.95)
        naive += low <= accuracy <= high
    assert covered / trials == pytest.approx(0.95, abs=0.025)
    assert naive / trials < 0.88
