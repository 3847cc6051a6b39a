from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.mixture.ledger import Round
from sapwood.mixture.weights import Mixture
from sapwood.report import plots
from sapwood.report.axes import label, name_axis
from sapwood.report.palette import palette
from sapwood.runs.metrics import StepMetrics


def step(number: int, loss: float, stage: str = "one") -> StepMetrics:
    return StepMetrics(
        step=number,
        position=number * 4,
        tokens=number * 1000,
        stage=stage,
        loss=loss,
        losses={},
        learning_rate=1e-4,
        gradient_norm=1.0,
        skipped=False,
        tokens_per_second=500.0,
        utilisation=None,
        data_wait=0.0,
        seconds=number * 2.0,
        memory_bytes=10,
        digest="",
    )


def curves(steps: list[StepMetrics]) -> list[dict[str, object]]:
    data: list[dict[str, object]] = plots.training_curves(steps, [("one", 0)], 10**6)["data"]
    return data


@given(
    losses=st.lists(st.floats(0, 20), min_size=1, max_size=150),
    boundary=st.integers(0, 150),
)
def test_a_smoothed_loss_stays_inside_its_stage(losses: list[float], boundary: int) -> None:
    steps = [step(n, loss, "one" if n < boundary else "two") for n, loss in enumerate(losses)]
    smoothed = curves(steps)[1]["y"]
    assert isinstance(smoothed, list)
    for part in (losses[:boundary], losses[boundary:]):
        if part:
            values = [smoothed.pop(0) for _ in part]
            assert smoothed.pop(0) is None
            assert min(part) - 1e-4 <= min(values)
            assert max(values) <= max(part) + 1e-4
            assert values[0] == pytest.approx(part[0], rel=1e-4, abs=1e-9)  # the ends are not pulled away


def test_a_straight_loss_is_smoothed_to_itself() -> None:
    raw, smoothed, *_ = curves([step(n, 3 - n / 100) for n in range(200)])
    assert isinstance(smoothed["y"], list)
    assert smoothed["y"][:-1] == pytest.approx(raw["y"])


def test_long_curves_are_means_of_neighbours() -> None:
    steps = [step(n, n % 2) for n in range(10_000)]
    raw = curves(steps)[0]
    x, y = raw["x"], raw["y"]
    assert isinstance(x, list)
    assert isinstance(y, list)
    assert len(x) <= plots.MOST_POINTS
    assert all(0.4 < value < 0.6 for value in y)
    assert x == sorted(x)


def test_a_loss_that_is_not_a_number_leaves_a_gap_of_one_step() -> None:
    steps = [step(n, math.nan if n == 50 else 2.0) for n in range(100)]
    raw, smoothed, *_ = curves(steps)
    assert isinstance(raw["y"], list)
    assert isinstance(smoothed["y"], list)
    assert [n for n, value in enumerate(raw["y"]) if math.isnan(value)] == [50]
    assert set(smoothed["y"][:-1]) == {2.0}


def test_the_mixture_sums_to_one_everywhere() -> None:
    trees = [
        {"a/x": Fraction(1, 6), "a/y": Fraction(1, 6), "b": Fraction(2, 3)},
        {"a": Fraction(1, 7), "c": Fraction(6, 7)},
    ]
    rounds = [
        Round(
            index=number,
            stage="s",
            start=number * 10,
            start_tokens=number * 10 * 512,
            sequences=10,
            sequence_length=512 << number,
            mixture=Mixture(weights, {"a": "g", "b": "g", "c": "h"}),
            first={},
            reasons=("<b>",),
        )
        for number, weights in enumerate(trees)
    ]
    figure = plots.mixture(rounds, 30 * 512, 30 * 512, palette({"a": "gain", "b": "retention", "c": ""}))
    stacked = [trace for trace in figure["data"] if "stackgroup" in trace]
    assert len(stacked) == 3
    for shares in zip(*(trace["y"] for trace in stacked), strict=True):
        assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert stacked[0]["x"][-1] == 30 * 512
    assert "<b>" not in str(figure["data"][-1]["text"])


def test_labels_are_text() -> None:
    assert label("<b>a & b</b>") == "&lt;b&gt;a &amp; b&lt;/b&gt;"
    assert name_axis(["a-very-long-name-of-a-<source>"])["ticktext"] == ["a-very-long-name-<br>of-a-&lt;source&gt;"]


@given(st.lists(st.sampled_from(["gain", "retention", ""]), max_size=40))
def test_tones_of_one_aim_differ(kinds: list[str]) -> None:
    found = palette({f"source-{n}": kind for n, kind in enumerate(kinds)})
    assert list(found) == [f"source-{n}" for n in range(len(kinds))]
    looks = {(tone.color, tone.hatched) for tone in found.values()}
    assert len(looks) == len(found)
    assert all(0 < tone.strength <= 100 for tone in found.values())
