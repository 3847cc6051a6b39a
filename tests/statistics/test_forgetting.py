from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_pairs import pairs
from sapwood.statistics.forgetting import forgetting
from sapwood.statistics.paired import Pairs

pytestmark = pytest.mark.slow


def guessers(random: np.random.Generator, items: int, forgot: float, learned: float, kept: float) -> Pairs:
    """Models that know some items and guess the others among four options."""
    kinds = random.choice(4, size=items, p=[kept, forgot, learned, 1 - kept - forgot - learned])
    before = np.isin(kinds, [0, 1]) | (random.random(items) < 0.25)
    after = np.isin(kinds, [0, 2]) | (random.random(items) < 0.25)
    return pairs(before.astype(float), after.astype(float))


@pytest.mark.parametrize("shares", [(0.05, 0.1, 0.6), (0.0, 0.3, 0.0), (0.02, 0.02, 0.9)])
def test_what_was_forgotten_is_found_behind_the_guesses(shares: tuple[float, float, float]) -> None:
    random, trials = np.random.default_rng(0), 300
    forgot, learned, kept = shares
    values, covered = [], 0
    for _ in range(trials):
        found = forgetting(guessers(random, 400, *shares), 0.25)
        values.append((found.forgotten.least.value, found.learned.least.value, found.by_guessing))
        low, high = found.forgotten.least.interval(0.95)
        covered += low <= forgot <= high
    guessing = (1 - kept - forgot - learned) * 0.25 * 0.75
    assert np.mean(values, axis=0) == pytest.approx([forgot, learned, guessing], abs=0.006)
    assert covered / trials == pytest.approx(0.95, abs=0.04)


def test_raw_flips_count_guesses_as_forgetting() -> None:
    found = forgetting(guessers(np.random.default_rng(1), 4000, 0.0, 0.0, 0.2), 0.25)
    assert found.lost.estimate.value == pytest.approx(0.8 * 0.25 * 0.75, abs=0.02)
    low, high = found.forgotten.least.interval(0.95)
    assert low < 0 < high


@given(
    st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=2, max_size=60),
    st.sampled_from([0.0, 0.2, 0.25, 0.5]),
)
def test_the_accounts_balance(answers: list[tuple[int, int]], chance: float) -> None:
    made = pairs([before for before, _ in answers], [after for _, after in answers])
    found = forgetting(made, chance)
    change = float(np.mean(made.differences))
    assert found.won.estimate.value - found.lost.estimate.value == pytest.approx(change)
    for forgotten, learned in (
        (found.forgotten.least, found.learned.least),
        (found.forgotten.most, found.learned.most),
    ):
        assert found.known_after == pytest.approx(found.known_before - forgotten.value + learned.value)
    assert found.forgotten.values[0] <= found.forgotten.values[1]
    assert found.known_after - found.known_before == pytest.approx(change / (1 - chance))
    if chance == 0:
        assert found.forgotten.least.value == pytest.approx(found.lost.estimate.value)


def test_models_that_guess_the_same_are_within_the_bounds() -> None:
    random = np.random.default_rng(3)
    known = random.random(4000) < 0.4
    forgot = known & (random.random(4000) < 0.25)
    guess = random.random(4000) < 0.25
    found = forgetting(pairs((known | guess).astype(float), ((known & ~forgot) | guess).astype(float)), 0.25)
    assert found.forgotten.most.value == pytest.approx(0.1, abs=0.015)
    assert found.forgotten.least.value < 0.05
    low, high = found.forgotten.interval(0.95)
    assert low <= 0.1 <= high


def test_no_flip_is_not_proof_of_none() -> None:
    found = forgetting(pairs([1.0] * 30, [1.0] * 30))
    assert found.forgotten.interval(0.95)[1] > 0.05
    assert found.lost.interval(0.95)[1] > 0.05


def test_only_answers_flip() -> None:
    with pytest.raises(ValueError, match="one sample"):
        forgetting(pairs([0.25, 1], [1, 1]), 0.25)
