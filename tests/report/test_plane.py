from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pages import view_of
from sapwood.evaluation.gate import judge, mean_change
from sapwood.evaluation.result import read_evaluation
from sapwood.recipe import Recipe
from sapwood.report.gain_retention import planes
from sapwood.report.palette import palette
from sapwood.report.plane import Place, Route, plane
from sapwood.statistics.change import BITS_PER_BYTE
from sapwood.statistics.estimate import Estimate

pytestmark = pytest.mark.slow

Run = tuple[Recipe, Path]
TONE = palette({"a": "gain"})["a"]


def place(kept: float, gained: float, note: str = "") -> Place:
    return Place("<b>a</b>", Estimate(kept, 0.01, 30), Estimate(gained, 0.02, 30), "2 of 3 demands met", note)


def test_a_route_begins_at_the_backbone_with_arms_both_ways() -> None:
    figure = plane([Route(TONE, [place(-0.01, 0.3)])], confidence=0.95, margin=0.02, metric=BITS_PER_BYTE)
    (trace,) = figure["data"]
    assert (trace["x"], trace["y"]) == ([0.0, -0.01], [0.0, 0.3])
    assert trace["error_x"]["array"][0] == trace["error_y"]["array"][0] == 0
    assert trace["error_y"]["array"][1] == pytest.approx(2 * trace["error_x"]["array"][1])
    assert [line["x0"] for line in figure["layout"]["shapes"] if line.get("yref") == "paper"] == [0.0, -0.02]
    assert "&lt;b&gt;a&lt;/b&gt;" in trace["hovertext"][1]
    assert "2 of 3 demands met" in trace["hovertext"][1]


@pytest.mark.parametrize(("kept", "side"), [(0.2, "left"), (-0.2, "right")])
def test_a_note_keeps_off_the_line(kept: float, side: str) -> None:
    route = Route(TONE, [place(0.0, 0.3), place(kept, 0.4, "adapted model")])
    figure = plane([route], confidence=0.95, margin=0.02, metric=BITS_PER_BYTE)
    (note,) = [note for note in figure["layout"]["annotations"] if note["text"] == "adapted model"]
    assert (note["x"], note["y"], note["xanchor"]) == (kept, 0.4, side)


def test_every_evaluation_of_a_run_is_a_point(benchmarked: Run) -> None:
    recipe, run = benchmarked
    held_out, exam = planes(view_of(recipe, run))
    base = read_evaluation(run / "evaluation" / "base.json")
    measured = [("step 96", 786_432), ("adapted model", 983_040)]
    assert [(model.name, model.tokens) for model in held_out.models] == measured
    for model, label in zip(held_out.models, ("step-00000096", "model"), strict=True):
        changes = judge(recipe, base, read_evaluation(run / "evaluation" / f"{label}.json"))
        assert (model.gained, model.kept) == (mean_change(changes, "gain"), mean_change(changes, "retention"))
    assert [(model.name, model.tokens) for model in exam.models] == [("step 96", 786_432), ("adapted model", 983_040)]
    (trace,) = exam.figure["data"]
    assert trace["y"][-1] == pytest.approx(100 * exam.models[-1].gained.value)
    assert [line["x0"] for line in exam.figure["layout"]["shapes"] if line.get("yref") == "paper"] == [0.0, -3.0]


def test_what_was_measured_in_another_way_is_left_out(benchmarked: Run) -> None:
    recipe, run = benchmarked
    between = read_evaluation(run / "evaluation" / "step-00000096.json")
    replace(between, settings={"bytes": 1}).write(run / "evaluation")
    held_out, _ = planes(view_of(recipe, run))
    assert held_out.left_out == ["step-00000096"]
    assert [model.name for model in held_out.models] == ["adapted model"]


def test_there_is_no_plane_without_something_to_keep(benchmarked: Run) -> None:
    recipe, run = benchmarked
    retention = recipe.evaluation.retention.model_copy(update={"domains": []})
    evaluation = recipe.evaluation.model_copy(update={"retention": retention, "suites": []})
    assert planes(view_of(recipe.model_copy(update={"evaluation": evaluation}), run)) == []
