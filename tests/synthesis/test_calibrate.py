from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.statistics.proportion import wilson
from sapwood.synthesis.labelled import Calibration, Kept, StageCurve, ThresholdPoint, choose, curve

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), st.booleans()), max_size=60)


def test_an_example() -> None:
    rows = [(1.0, True), (1.0, True), (0.6, True), (0.6, False), (0.2, False)]
    assert curve(rows) == [ThresholdPoint(5, 3, 0.2, 3), ThresholdPoint(4, 3, 0.6, 3), ThresholdPoint(2, 2, 1.0, 3)]
    lowest, middle, highest = curve(rows)
    assert (lowest.precision, middle.precision, highest.precision) == (0.6, 0.75, 1.0)
    assert (lowest.recall, middle.recall, highest.recall) == (1.0, 1.0, 2 / 3)
    assert middle.interval == wilson(3, 4)


def test_the_lowest_threshold_that_is_good_enough_for_sure() -> None:
    rows = [(1.0, True)] * 95 + [(0.8, True)] * 90 + [(0.8, False)] * 2 + [(0.6, True)] * 20 + [(0.6, False)] * 10
    chosen = choose(curve(rows), 0.95)
    assert chosen is not None
    assert chosen.threshold == 0.8
    assert chosen.interval[0] >= 0.95
    assert choose(curve(rows), 0.99) is None
    lenient = choose(curve(rows), 0.9)
    assert lenient is not None
    assert lenient.threshold == 0.6


@given(ROWS)
def test_every_point_says_what_its_threshold_keeps(rows: list[tuple[float, bool]]) -> None:
    points = curve(rows)
    assert [point.threshold for point in points] == sorted({score for score, _ in rows})
    for point in points:
        kept = [right for score, right in rows if score >= point.threshold]
        assert (point.kept, point.right) == (len(kept), sum(kept))
        assert point.interval[0] <= point.precision <= point.interval[1]
        assert point.recall == (point.right / point.all_right if point.all_right else 0)
    assert curve(reversed(rows)) == points


@given(ROWS, st.floats(0.01, 0.99))
def test_what_is_chosen_reaches_the_precision_and_nothing_below_does(
    rows: list[tuple[float, bool]], precision: float
) -> None:
    points = curve(rows)
    chosen = choose(points, precision)
    reaching = [point.threshold for point in points if wilson(point.right, point.kept)[0] >= precision]
    assert (None if chosen is None else chosen.threshold) == min(reaching, default=None)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    points = curve([(1.0, True), (0.5, False)])
    written = Calibration(0.95, 2, {"votes": StageCurve(None, tuple(points))}, Kept(2, 1))
    write_json(tmp_path / "calibration.json", written.to_json(), sealed=True)
    assert Calibration.read(tmp_path / "calibration.json") == written
    assert Calibration.read(tmp_path / "none.json") is None
    write_json(tmp_path / "calibration.json", {**written.to_json(), "accepted": {}}, sealed=True)
    with pytest.raises(SapwoodError, match=r"'kept' is missing\. Remove it, and run `sapwood synthesize calibrate`"):
        Calibration.read(tmp_path / "calibration.json")
