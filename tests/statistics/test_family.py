from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.statistics.change import SCORE, Aim, Change
from sapwood.statistics.estimate import Estimate
from sapwood.statistics.family import holm, judge_family

pytestmark = pytest.mark.slow


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.5]))
def test_holm_rejects_what_its_steps_reject(p_values: list[float], alpha: float) -> None:
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > alpha:
            break
        rejected.add(place)
    assert {place for place, p_value in enumerate(holm(p_values)) if p_value <= alpha} == rejected


def changed(name: str, aim: Aim, value: float, error: float, margin: float = 0.0) -> Change:
    estimate = Estimate(value, error, math.inf)
    return Change.of(name, SCORE, 0.5, 0.5 + value, estimate, n=9, confidence=0.95, aim=aim, margin=margin)


def test_one_false_gain_among_many_is_as_rare_as_promised() -> None:
    random, trials = np.random.default_rng(0), 2000
    wrong = 0
    for _ in range(trials):
        changes = [changed(str(i), "gain", value, 1.0) for i, value in enumerate(random.normal(size=8))]
        wrong += any(found.verdict in ("gained", "worse") for found in judge_family(changes))
    assert wrong / trials == pytest.approx(0.05, abs=0.015)


def test_what_is_shown_must_hold_in_the_family_and_what_is_kept_by_itself() -> None:
    def family(margin: float) -> list[Change]:
        loss = changed("a", "retention", -0.0225, 0.01, margin)
        return [loss, *(changed(name, "retention", 0.0, 0.01, margin) for name in "bcd")]

    assert judge_family(family(0.01)[:1])[0].verdict == "lost"
    found = judge_family(family(0.01))
    assert found[0].verdict == "loss not excluded"
    assert found[0].p_value == pytest.approx(4 * found[0].estimate.p_value)
    assert found[1].verdict == "loss not excluded"
    assert judge_family(family(0.02))[1].verdict == "kept"
