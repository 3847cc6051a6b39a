from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from pages import Page, with_colors
from sapwood.evaluation.gate import mean_change
from sapwood.evaluation.merged import Point, label_of, read_points
from sapwood.evaluation.result import DomainScore, Evaluation, read_evaluation
from sapwood.recipe import Recipe
from sapwood.report.merge import CAUTION, write_merge_page
from sapwood.report.wording import signed

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]
STATE = "step-00000120"


def part_of_the_way(base: Evaluation, model: Evaluation, share: float, label: str) -> Evaluation:
    """As if every likelihood moved in a line."""
    domains = {
        name: DomainScore(
            tuple(
                replace(after, nats=before.nats + share * (after.nats - before.nats))
                for before, after in zip(base.domains[name].documents, model.domains[name].documents, strict=True)
            )
        )
        for name in base.domains
    }
    return replace(model, label=label, domains=domains, samples=())


@pytest.fixture
def run(recipe: Recipe, make_run: MakeRun) -> Path:
    run = make_run(recipe, "base", "model")
    base, model = (read_evaluation(run / "evaluation" / f"{name}.json") for name in ("base", "model"))
    for series, share in (("linear-8", 1.0), ("last", 0.5), ("last", 1.0), ("ema", 0.9)):
        label = label_of(STATE, series, share)
        part_of_the_way(base, model, share, label).write(run / "evaluation")
    other = replace(part_of_the_way(base, model, 0.1, label_of(STATE, "mean-4", 1.0)), settings={"window": 1})
    other.write(run / "evaluation")  # it was measured in another way
    return run


@pytest.fixture
def points(recipe: Recipe, run: Path) -> list[Point]:
    return read_points(recipe, run / "evaluation", STATE, read_evaluation(run / "evaluation" / "base.json"))


def test_points_are_read_back_with_the_last_weights_first(points: list[Point]) -> None:
    assert [(point.series, point.share) for point in points] == [
        ("last", 0.5),
        ("last", 1.0),
        ("ema", 0.9),
        ("linear-8", 1.0),
    ]
    assert [point.name for point in points] == ["last weights", "last weights", "EMA", "linear decay over 8"]


def test_changes_are_taken_against_the_backbone_and_the_last_weights(points: list[Point]) -> None:
    half, last, *_ = points
    for kind in ("gain", "retention"):
        whole, part = mean_change(last.since_backbone, kind), mean_change(half.since_backbone, kind)
        assert whole is not None
        assert part is not None
        assert part.value == pytest.approx(whole.value / 2)
        against = mean_change(half.since_last, kind)
        assert against is not None
        assert against.value == pytest.approx(-whole.value / 2)
    assert all(change.value == 0 for change in last.since_last)
    passed = sum(change.passed for change in half.since_backbone)
    assert half.met == f"{passed} of 3"


def test_the_page_shows_every_point(recipe: Recipe, run: Path, points: list[Point]) -> None:
    page = Page(write_merge_page(recipe, run, points))
    assert CAUTION in page.plain
    (figure,) = page.figures
    assert [trace["x"][0] for trace in figure["data"]] == [0.0] * 3  # every line begins at the base model
    assert len(figure["data"][0]["x"]) == 3
    properties = set(re.findall(r"(--[a-z0-9-]+):", page.source))
    go.Figure(with_colors(figure, properties))  # raises ValueError where plotly knows no such thing
    against = [row[:2] for row in page.rows[len(points) + 2 :]]
    assert against == [["last weights", "0.5"], ["EMA", "0.9"], ["linear decay over 8", "1"]]
    rows = [row for row in page.rows if row[0] == "EMA"]
    assert len(rows) == 2
    for change, cell in zip(points[2].since_backbone, rows[0][2:], strict=False):
        assert signed(change.value) in cell
        assert change.verdict in cell
    assert rows[0][-1].strip() == points[2].met
    assert not page.values("src")


def test_without_anything_to_keep_there_is_no_curve(recipe: Recipe, run: Path) -> None:
    evaluation = recipe.evaluation.model_copy(
        update={"retention": recipe.evaluation.retention.model_copy(update={"domains": []})}
    )
    gaining = recipe.model_copy(update={"evaluation": evaluation})
    base = read_evaluation(run / "evaluation" / "base.json")
    page = Page(write_merge_page(gaining, run, read_points(gaining, run / "evaluation", STATE, base)))
    assert page.figures == []
    assert any(row[0] == "EMA" for row in page.rows)
