from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from made_pairs import clusters, pairs, real, right_or_wrong
from sapwood.statistics.paired import change, mcnemar
from sapwood.statistics.resampling import EXACT, bootstrap, sign_flip

pytestmark = pytest.mark.slow


@given(st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=1, max_size=200))
def test_of_independent_answers_flipping_signs_is_mcnemars_test(answers: list[tuple[int, int]]) -> None:
    made = pairs([before for before, _ in answers], [after for _, after in answers])
    assert sign_flip(made) == pytest.approx(mcnemar(made))


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-1, 0, 1])), min_size=1, max_size=12))
def test_counting_signs_and_trying_them_agree(rows: list[tuple[int, int]]) -> None:
    labels, differences = [label for label, _ in rows], np.array([difference for _, difference in rows])
    counted = pairs((differences < 0).astype(float), (differences > 0).astype(float), labels)
    tried = pairs(np.full(len(rows), 0.5), 0.5 + differences / 4, labels)
    assert sign_flip(counted) == pytest.approx(sign_flip(tried))


def test_what_all_items_weigh_does_not_matter() -> None:
    made = pairs([0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 1, 2, 2, 3])
    assert sign_flip(replace(made, weights=made.weights / 2)) == sign_flip(made) == 2 / 2**4


def test_all_signs_are_tried_as_scipy_does() -> None:
    made = real(np.random.default_rng(0), clusters([3] * 9), 0.5)
    sums = np.bincount(made.clusters, made.differences)
    expected = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(made) == pytest.approx(expected.pvalue)


def test_many_clusters_are_sampled_with_a_seed() -> None:
    made = real(np.random.default_rng(1), clusters([2] * (EXACT + 10)), 0.4)
    assert sign_flip(made, seed=3) == sign_flip(made, seed=3)
    assert sign_flip(made, resamples=20_000) == pytest.approx(sign_flip(made, resamples=20_000, seed=1), abs=0.01)
    assert sign_flip(made) == pytest.approx(change(made).p_value, abs=0.03)


def test_few_clusters_cannot_show_anything() -> None:
    assert sign_flip(pairs([0.0] * 10, [0.9] * 10, clusters([2] * 5))) == 2 / 2**5
    assert sign_flip(pairs([0.4] * 10, [0.4] * 10)) == 1


@pytest.mark.parametrize("count", [5, 30])
def test_under_no_change_it_is_right_as_often_as_it_says(count: int) -> None:
    random, labels, trials = np.random.default_rng(2), clusters([4] * count), 400
    p_values = np.array([sign_flip(real(random, labels, 0.0), resamples=399) for _ in range(trials)])
    for alpha in (0.1, 0.3):
        assert np.mean(p_values <= alpha) <= alpha + 0.04
    assert np.mean(p_values <= 0.3) >= 0.22


@pytest.mark.parametrize("kind", ["normal", "skewed", "right or wrong"])
def test_bootstrap_intervals_cover_the_true_change(kind: str) -> None:
    random, labels, trials, covered = np.random.default_rng(3), clusters([5] * 40), 300, 0
    for _ in range(trials):
        if kind == "right or wrong":
            made = right_or_wrong(random, labels, 0.5, 0.5)
        else:
            noise = random.exponential(size=40)[labels] - 1 if kind == "skewed" else random.normal(size=40)[labels]
            made = pairs(np.zeros(200), noise + 0.5 * random.normal(size=200), labels)
        low, high = bootstrap(made, resamples=499)
        covered += low <= 0 <= high
    assert covered / trials == pytest.approx(0.95, abs=0.03)


def test_a_bootstrap_is_the_same_for_the_same_seed() -> None:
    made = real(np.random.default_rng(4), clusters([3] * 25), 0.1)
    assert bootstrap(made, seed=1) == bootstrap(made, seed=1) != bootstrap(made, seed=2)
    assert bootstrap(made) == pytest.approx(change(made).interval(0.95), abs=0.08)
    assert bootstrap(pairs([0, 1], [1, 1], [0, 0])) == (-np.inf, np.inf)
    assert bootstrap(pairs([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])) == (0, 0)


@pytest.mark.parametrize("flips", [0, 1, 2])
def test_resamples_without_a_flip_are_no_proof_of_anything(flips: int) -> None:
    made = pairs([1.0] * 30, [0.0] * flips + [1.0] * (30 - flips))
    low, high = bootstrap(made)
    narrow = change(made).interval(0.95)
    assert -0.4 < low <= narrow[0] < narrow[1] <= high < 0.4
