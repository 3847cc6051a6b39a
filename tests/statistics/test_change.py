from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.statistics.change import BITS_PER_BYTE, SCORE, Aim, Change, Metric, Verdict, decide
from sapwood.statistics.estimate import Estimate
from sapwood.statistics.paired import Pairs, change

VALUES = st.floats(0.05, 4.0).map(lambda value: round(value, 3))


def made(metric: Metric, before: float, after: float, aim: Aim | None = "retention", error: float = 0.01) -> Change:
    estimate = Estimate(metric.improvement(before, after), error, 30)
    return Change.of("x", metric, before, after, estimate, n=31, confidence=0.95, aim=aim, margin=0.02)


@given(VALUES, VALUES)
def test_above_zero_is_better_whatever_is_measured(before: float, after: float) -> None:
    fewer, more = made(BITS_PER_BYTE, before, after), made(SCORE, before, after)
    assert (fewer.value > 0) == (after < before)
    assert (more.value > 0) == (after > before)
    assert fewer.value == -more.value
    for found in (fewer, more):
        assert found.low < found.value < found.high
        assert found.metric.turned(found.value) == pytest.approx(after - before)


@given(VALUES, VALUES)
def test_a_verdict_does_not_depend_on_which_way_the_metric_goes(before: float, after: float) -> None:
    assert made(BITS_PER_BYTE, before, after).judged().verdict == made(SCORE, after, before).judged().verdict


@pytest.mark.parametrize("metric", [BITS_PER_BYTE, SCORE])
def test_pairs_are_turned_by_their_metric(metric: Metric) -> None:
    before, after = np.array([0.2, 0.4, 0.9]), np.array([0.1, 0.4, 0.7])
    pairs = Pairs(("a", "b", "c"), before, after, np.arange(3), np.ones(3), metric)
    assert change(pairs).value == pytest.approx(0.1 if metric is BITS_PER_BYTE else -0.1)
    assert change(pairs.where(np.array([True, False, True]))).value == pytest.approx(1.5 * change(pairs).value)


@pytest.mark.parametrize(
    ("aim", "interval", "verdict"),
    [
        ("gain", (0.01, 0.05), "gained"),
        ("gain", (-0.01, 0.05), "no gain shown"),
        ("gain", (-0.05, -0.01), "worse"),
        ("retention", (0.01, 0.05), "improved"),
        ("retention", (-0.01, 0.05), "kept"),
        ("retention", (-0.03, 0.05), "loss not excluded"),
        ("retention", (-0.05, -0.01), "lost"),
        ("retention", (-0.015, -0.01), "kept"),
        ("retention", (-math.inf, math.inf), "loss not excluded"),
    ],
)
def test_verdicts(aim: Aim, interval: tuple[float, float], verdict: Verdict) -> None:
    assert decide(aim, interval, 0.02) == verdict


def test_what_is_not_judged_has_no_verdict_and_fails_nothing() -> None:
    looked_at = made(SCORE, 0.8, 0.2, aim=None).judged()
    assert (looked_at.verdict, looked_at.passed, looked_at.fails) == (None, True, False)
    lost = made(SCORE, 0.8, 0.2).judged()
    assert (lost.verdict, lost.passed, lost.fails) == ("lost", False, True)


def test_an_adjusted_p_value_may_take_back_what_an_interval_shows() -> None:
    found = made(SCORE, 0.5, 0.53, aim="gain")
    assert found.judged().verdict == "gained"
    judged = found.judged(p_value=0.2)
    assert (judged.verdict, judged.p_value) == ("no gain shown", 0.2)


def test_an_estimate_in_another_unit_has_the_same_p_value() -> None:
    parts = (Estimate(0.3, 0.1, 3), Estimate(0.3, 0.05, 40))
    for found in (Estimate(0.3, 0.1, 12), Estimate(0.3, math.hypot(0.1, 0.05), 3, parts)):
        scaled = found.scaled(100)
        assert scaled.p_value == pytest.approx(found.p_value)
        assert scaled.interval(0.9) == pytest.approx(tuple(100 * bound for bound in found.interval(0.9)))
