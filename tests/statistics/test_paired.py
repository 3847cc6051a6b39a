from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from made_pairs import clusters, pairs, real, right_or_wrong, task
from sapwood.errors import SapwoodError
from sapwood.statistics.change import decide
from sapwood.statistics.items import ItemScore, by_task
from sapwood.statistics.paired import change, mcnemar, pair

pytestmark = pytest.mark.slow

TRIALS = 600


def test_pairs_are_of_the_same_items() -> None:
    rows = [ItemScore("a", "qa", str(i), i / 10, "p" if i < 2 else None) for i in range(4)]
    rows += [ItemScore("b", "qa", str(i), i / 5, "p" if i < 2 else None) for i in (3, 1, 0, 2)]
    scores = by_task(rows)
    made = pair(scores["qa", "a"], scores["qa", "b"])
    assert made.differences == pytest.approx([0, 0.1, 0.2, 0.3])
    assert made.clusters.tolist() == [0, 0, 1, 2]


def test_other_items_and_other_clusters_are_refused() -> None:
    with pytest.raises(SapwoodError, match="1 only the first, 0 only the second, such as 'item-2'"):
        pair(task([1, 0, 1]), task([1, 0]))
    with pytest.raises(SapwoodError, match="different clusters or weights"):
        pair(task([1, 0, 1], [0, 0, 1]), task([1, 0, 1], [0, 1, 1]))
    with pytest.raises(SapwoodError, match="different clusters or weights"):
        pair(task([1, 0, 1]), task([1, 0, 1], weights=[1, 2, 1]))


def test_without_clusters_it_is_the_paired_t_test() -> None:
    made = real(np.random.default_rng(0), np.arange(30), 0.3)
    expected = ttest_1samp(made.differences, 0)
    estimate = change(made)
    assert estimate.p_value == pytest.approx(expected.pvalue)
    assert estimate.interval(0.95) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert estimate.degrees_of_freedom == pytest.approx(29)


def test_the_clustered_error_is_that_of_the_formula() -> None:
    labels = clusters([3] * 8)
    made = real(np.random.default_rng(1), labels, 0.0)
    off = made.differences - made.differences.mean()
    sums = np.bincount(labels, off)
    assert change(made).standard_error == pytest.approx(math.sqrt(8 / 7 * np.sum(sums**2)) / 24)
    assert change(made).degrees_of_freedom == pytest.approx(7)


@given(st.lists(st.integers(1, 12), min_size=2, max_size=30))
def test_clusters_of_different_sizes_count_as_fewer(sizes: list[int]) -> None:
    made = real(np.random.default_rng(2), clusters(sizes), 0.0)
    freedom = change(made).degrees_of_freedom
    assert freedom <= len(sizes) - 1 + 1e-9
    assert (freedom == pytest.approx(len(sizes) - 1)) == (len(set(sizes)) == 1)


def test_models_that_agree_on_all_items_may_still_differ() -> None:
    estimate = change(pairs([1, 1, 0, 1] * 5, [1, 1, 0, 1] * 5))
    low, high = estimate.interval(0.95)
    assert estimate.value == 0
    assert low < -0.1 < 0.1 < high
    assert change(pairs([0.3, 0.7], [0.3, 0.7])).interval(0.95) == (0, 0), "a measured likelihood that is the same is"


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (6, 1), (30, 12)])
def test_mcnemar_is_a_binomial_test(won: int, lost: int) -> None:
    made = pairs([0] * won + [1] * lost + [1, 0], [1] * won + [0] * lost + [1, 0])
    tail = sum(math.comb(won + lost, k) for k in range(max(won, lost), won + lost + 1)) / 2 ** (won + lost)
    assert mcnemar(made) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_refuses_clusters_and_parts_of_a_point() -> None:
    for made in (pairs([1, 0], [0, 1], [0, 0]), pairs([0.5, 0], [0, 1])):
        with pytest.raises(ValueError, match="use sign_flip"):
            mcnemar(made)


@pytest.mark.parametrize("sizes", [[1] * 164, [5] * 40, [5] * 12, [2, 3, 4, 5, 6, 20] * 5], ids=len)
def test_intervals_cover_the_true_change(sizes: list[int]) -> None:
    random, labels = np.random.default_rng(3), clusters(sizes)
    covered = {"real": 0, "right or wrong": 0}
    for _ in range(TRIALS):
        low, high = change(real(random, labels, 0.2)).interval(0.95)
        covered["real"] += low <= 0.2 <= high
        low, high = change(right_or_wrong(random, labels, 0.5, 0.56)).interval(0.95)
        covered["right or wrong"] += low <= 0.06 <= high
    for count in covered.values():
        assert count / TRIALS == pytest.approx(0.95, abs=0.03)


def test_intervals_that_know_no_clusters_do_not() -> None:
    random, labels = np.random.default_rng(4), clusters([5] * 40)
    covered = 0
    for _ in range(TRIALS):
        made = real(random, labels, 0.0)
        low, high = change(pairs(made.before, made.after)).interval(0.95)
        covered += low <= 0 <= high
    assert covered / TRIALS < 0.85


@pytest.mark.parametrize("accuracy", [0.6, 0.97])
def test_what_lost_the_margin_is_seldom_called_kept(accuracy: float) -> None:
    random, margin = np.random.default_rng(5), 0.02
    kept = 0
    for _ in range(TRIALS):
        made = right_or_wrong(random, np.arange(164), accuracy, accuracy - margin, shared=0.9)
        kept += decide("retention", change(made).interval(0.95), margin) in ("kept", "improved")
    assert kept / TRIALS <= 0.05
