from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.evaluation.family import holm, judge_family
from sapwood.evaluation.published import unpaired_change
from sapwood.statistics.estimate import Estimate

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


def test_one_false_gain_among_many_is_as_rare_as_promised() -> None:
    random, trials = np.random.default_rng(0), 2000
    wrong = 0
    for _ in range(trials):
        changes = {str(i): Estimate(value, 1.0, math.inf) for i, value in enumerate(random.normal(size=8))}
        wrong += any(found.verdict in ("gained", "worse") for found in judge_family("gain", changes).values())
    assert wrong / trials == pytest.approx(0.05, abs=0.015)


def test_what_is_shown_must_hold_in_the_family_and_what_is_kept_by_itself() -> None:
    loss = {"a": Estimate(-0.0225, 0.01, math.inf)}
    others = {name: Estimate(0.0, 0.01, math.inf) for name in "bcd"}
    assert judge_family("retention", loss, margin=0.01)["a"].verdict == "lost"
    found = judge_family("retention", loss | others, margin=0.01)
    assert found["a"].verdict == "loss not excluded"
    assert found["a"].adjusted_p_value == pytest.approx(4 * loss["a"].p_value)
    assert found["b"].verdict == "loss not excluded"
    assert judge_family("retention", loss | others, margin=0.02)["b"].verdict == "kept"


def test_published_totals() -> None:
    mmlu = unpaired_change(0.6660, 0.6519, 14042)
    assert mmlu.value / mmlu.standard_error == pytest.approx(-2.5, abs=0.02)
    assert mmlu.p_value == pytest.approx(0.0127, abs=0.0005)
