from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from made_pairs import clusters, task
from sapwood.statistics.chance import better_than_guessing


def test_with_one_number_of_options_it_is_the_binomial_test() -> None:
    scores = [1.0] * 34 + [0.0] * 66
    assert better_than_guessing(task(scores), 0.25) == pytest.approx(binomtest(34, 100, 0.25, "greater").pvalue)
    assert better_than_guessing(task([0.0] * 10), 0.25) == pytest.approx(1)


def test_items_may_have_different_numbers_of_options() -> None:
    # Two coins and one die of three: the sums of all eight outcomes.
    found = better_than_guessing(task([1, 1, 0]), [1 / 2, 1 / 2, 1 / 3])
    assert found == pytest.approx(1 / 4 * 2 / 3 + 1 / 2 * 1 / 3 + 1 / 4 * 1 / 3)
    assert better_than_guessing(task([1, 1, 1]), [0.5, 0.5, 0.0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_a_guesser_is_found_out(tied: bool) -> None:
    random, labels, trials = np.random.default_rng(0), clusters([5] * 30), 600
    p_values = []
    for _ in range(trials):
        right = random.random(30)[labels] < 0.25 if tied else random.random(150) < 0.25
        p_values.append(better_than_guessing(task(right.astype(float), labels), 0.25))
    assert np.mean(np.array(p_values) < 0.05) <= 0.07


def test_clusters_that_all_agree_are_no_proof() -> None:
    assert better_than_guessing(task([1.0] * 6, clusters([3, 3])), 0.5) > 0.05
    assert better_than_guessing(task([1.0] * 6, clusters([6])), 0.5) == 1
    assert better_than_guessing(task([1.0] * 40, clusters([2] * 20)), 0.25) < 0.001


def test_means_over_samples_are_tested_too() -> None:
    random = np.random.default_rng(1)
    answers = random.binomial(4, 0.25, size=200) / 4
    assert better_than_guessing(task(answers), 0.25) > 0.05
    assert better_than_guessing(task(np.minimum(1, answers + 0.25)), 0.25) < 1e-6


def test_a_certain_guess_is_no_guess() -> None:
    with pytest.raises(ValueError, match="below 1"):
        better_than_guessing(task([1, 0]), 1.0)
