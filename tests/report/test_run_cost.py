from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pages import Page, view_of
from sapwood.files import read_json, read_lines, write_json, write_lines
from sapwood.recipe import Recipe
from sapwood.report.cost import costs
from sapwood.report.page import write_report
from sapwood.report.wording import duration, short

MakeRun = Callable[..., Path]


def test_stages_add_up_to_the_run(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    *stages, whole = costs(view_of(recipe, run))
    last = read_lines(run / "metrics.jsonl")[-1]
    assert [stage.name for stage in stages] == ["adaptation", "annealing"]
    assert [stage.steps for stage in stages] == [96, 24]
    assert sum(stage.tokens for stage in stages) == whole.tokens == last["tokens"]
    assert sum(stage.seconds for stage in stages) == pytest.approx(whole.seconds) == last["seconds"]
    assert (whole.device_hours, whole.utilisation, whole.flops) == (None, None, None)
    page = Page(write_report(recipe, run))
    assert [
        "Whole run",
        duration(last["seconds"]),
        "–",
        short(last["tokens"] / last["seconds"]),
        "0.0%",
        "–",
        "–",
    ] in page.rows
    assert "measuring the held-out texts took 2 min 6 s more" in page.plain
    assert "The peak of this device is not known" in page.plain


def test_flops_follow_from_the_share_of_the_peak(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    write_json(run / "environment.json", {**read_json(run / "environment.json"), "device": "NVIDIA H200", "ranks": 4})
    lines = read_lines(run / "metrics.jsonl")
    shares = [0.2 + 0.001 * line["step"] for line in lines]
    write_lines(
        run / "metrics.jsonl", [{**line, "utilisation": share} for line, share in zip(lines, shares, strict=True)]
    )
    whole = costs(view_of(recipe, run))[-1]
    times = [now["seconds"] - was["seconds"] for was, now in zip([{"seconds": 0.0}, *lines], lines, strict=False)]
    used = sum(share * seconds for share, seconds in zip(shares, times, strict=True))
    assert whole.device_hours == pytest.approx(4 * lines[-1]["seconds"] / 3600)
    assert whole.utilisation == pytest.approx(used / lines[-1]["seconds"])
    assert whole.flops == pytest.approx(used * 4 * 989.4e12)
    assert "Device hours are of 4 devices" in Page(write_report(recipe, run)).plain
