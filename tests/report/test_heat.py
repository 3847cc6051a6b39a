from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pages import MOST_BYTES, Page, view_of
from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation, read_evaluation
from sapwood.files import read_json
from sapwood.recipe import Recipe
from sapwood.report.heat import MOST_CELLS, MOST_NUMBERS, heat_map
from sapwood.report.page import write_report
from sapwood.report.wording import signed

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]


def measure_often(recipe: Recipe, run: Path, evaluations: int) -> None:
    """Writes evaluations in which `web-zh` gets better and all else a little worse, each topic in its own way."""
    topics = {source: read_json(run / "domains" / source / "topics.json") for source in ("web-zh", "web-en")}
    names = [*recipe.sources, *(f"{source}/{topic}" for source in topics for topic in topics[source])]
    for number in range(evaluations + 1):
        domains = {}
        for place, name in enumerate(names):
            level = 2.0 + (-0.6 if "zh" in name else 0.03) * (number / evaluations) * (1 + place % 5) / 5
            documents = (
                DocumentScore(f"{name}-{n}", 900 + n, 300, (900 + n) * level + number * (n - 1.5)) for n in range(4)
            )
            domains[name] = DomainScore(tuple(documents))
        label = "base" if not number else "model" if number == evaluations else f"step-{number:08}"
        tokens = 576_000 * number // evaluations
        Evaluation(label=label, model=label, tokens=tokens, settings={}, domains=domains).write(run / "evaluation")


def test_a_cell_is_the_paired_change_of_a_topic(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    measure_often(recipe, run, 4)
    heat = heat_map(view_of(recipe, run))
    assert heat is not None
    assert heat.numbered
    assert heat.tokens == (144_000, 288_000, 432_000, 576_000)
    assert [part.title for part in heat.parts] == ["", "web-zh", "web-en"]
    assert [name for name, _ in heat.parts[0].rows] == ["book-zh", "code-en", "news-en"]
    name, cells = heat.parts[1].rows[3]
    levels = [
        read_evaluation(run / "evaluation" / f"{label}.json").domains[f"web-zh/{name}"].bits_per_byte.value
        for label in ("base", "step-00000002")
    ]
    assert cells[1] is not None
    assert cells[1].change.value == pytest.approx(levels[0] - levels[1])
    assert cells[1].interval[0] < cells[1].change.value < cells[1].interval[1]
    shown = [cell for part in heat.parts for _, row in part.rows for cell in row if cell is not None]
    assert max(cell.strength for cell in shown) == 100
    strongest = max(shown, key=lambda cell: abs(cell.change.value))
    for cell in shown:
        assert cell.better == (cell.change.value > 0)
        share = cell.change.value / strongest.change.value
        assert cell.strength == pytest.approx(100 * abs(share) ** 0.5, abs=0.51)
    assert sum(value for value, _ in heat.legend) == pytest.approx(0)


def test_every_number_of_a_small_map_is_in_its_cell(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    measure_often(recipe, run, 4)
    heat = heat_map(view_of(recipe, run))
    page = Page(write_report(recipe, run))
    assert heat is not None
    for part in heat.parts:
        for name, cells in part.rows:
            assert [name, *(signed(cell.change.value) for cell in cells if cell)] in page.rows
    assert "The numbers of" not in page.plain


def test_a_wide_map_has_its_numbers_in_a_second_table(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    measure_often(recipe, run, 40)
    page = Page(write_report(recipe, run))
    assert f"The numbers of {MOST_NUMBERS} of 40 evaluations" in page.plain
    heads = [row for row in page.rows if row[0] == "tokens trained on"]
    assert [len(row) for row in heads] == [41, 13]
    assert heads[1][1] == "14.4K"
    assert heads[1][-1] == "576K"
    assert len([title for title in page.values("title") if "after 14.4K tokens" in title]) == 2 * 25


def test_a_very_wide_map_stays_small(divided: tuple[Recipe, Path]) -> None:
    recipe, run = divided
    measure_often(recipe, run, 300)
    heat = heat_map(view_of(recipe, run))
    assert heat is not None
    assert len(heat.tokens) == MOST_CELLS // 25 == 120
    assert (heat.tokens[0], heat.tokens[-1]) == (1920, 576_000)
    path = write_report(recipe, run)
    assert "Of 300 evaluations, 120 are drawn." in Page(path).plain
    assert path.stat().st_size < MOST_BYTES


def test_what_was_measured_otherwise_or_once_is_no_map(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    heat = heat_map(view_of(recipe, run))
    assert heat is not None
    assert len(heat.tokens) == 2
    model = read_evaluation(run / "evaluation" / "model.json")
    replace(model, settings={**model.settings, "bytes": 1}).write(run / "evaluation")
    assert heat_map(view_of(recipe, run)) is None
    assert "Where and when losses moved" not in Page(write_report(recipe, run)).plain
