from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from pages import EVIL, MOST_BYTES, Page, with_colors
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import DomainScore, Evaluation, read_evaluation
from sapwood.evaluation.run_comparison import compare_run
from sapwood.files import write_atomic
from sapwood.recipe import Recipe, dump_recipe, load_recipe
from sapwood.report.comparison import write_comparison
from sapwood.report.page import write_report
from sapwood.report.wording import interval, number, signed
from sapwood.runs.directory import RunDirectory
from sapwood.suites.item_result import ItemResult, TaskResult

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]
MEASURE = "cloze-characters"


@pytest.fixture
def runs(recipe: Recipe, make_run: MakeRun) -> dict[str, Path]:
    """Two runs that differ in a learning rate and a seed; the second is better at Chinese."""
    first = make_run(recipe)
    write_report(recipe, first)
    rate = recipe.training.learning_rate
    assert rate is not None
    training = recipe.training.model_copy(update={"learning_rate": rate.model_copy(update={"peak": 1e-3})})
    second = make_run(recipe.model_copy(update={"name": "second", "seed": 7, "training": training}))
    model = read_evaluation(second / "evaluation" / "model.json")
    domains = {name: scaled(score, 0.95 if "zh" in name else 1.0) for name, score in model.domains.items()}
    replace(model, domains=domains).write(second / "evaluation")
    return {"demo": first, "second": second}


def scaled(score: DomainScore, factor: float) -> DomainScore:
    return DomainScore(tuple(replace(document, nats=factor * document.nats) for document in score.documents))


def models(runs: dict[str, Path], label: str = "model") -> list[Evaluation]:
    return [read_evaluation(run / "evaluation" / f"{label}.json") for run in runs.values()]


def compare(runs: dict[str, Path]) -> Page:
    page = Page(write_comparison(runs, next(iter(runs.values())).parent / "comparison.html"))
    assert len(page.source.encode()) < MOST_BYTES
    return page


def change_recipe(run: Path, **update: Any) -> Recipe:
    recipe = load_recipe(run / "recipe.yaml").model_copy(update=update)
    write_atomic(run / "recipe.yaml", dump_recipe(recipe))
    return recipe


def test_every_run_has_its_verdict_and_each_ability_its_row(recipe: Recipe, runs: dict[str, Path]) -> None:
    page = compare(runs)
    bases, adapted = models(runs, "base"), models(runs)
    first, second = (judge(recipe, base, model) for base, model in zip(bases, adapted, strict=True))
    for before, after in zip(first, second, strict=True):
        (row,) = [row for row in page.rows if len(row) == 4 and row[0] == before.name]
        for cell, change in zip(row[2:], (before, after), strict=True):
            assert cell.startswith(f"{signed(change.value)} ({interval(change.interval)})")
            assert cell.endswith(str(change.verdict))
    assert "demo/report.html" in page.values("href")
    assert "second/report.html" not in page.values("href"), "it was not written"
    properties = {part.split(":")[0].strip() for part in page.source.splitlines() if part.strip().startswith("--")}
    assert len(page.figures) == 3
    for figure in page.figures:
        go.Figure(with_colors(figure, properties))


def test_the_second_is_compared_with_the_first_document_by_document(recipe: Recipe, runs: dict[str, Path]) -> None:
    page = compare(runs)
    said = {"zh": "better", "en": "not shown to differ", "book-en": "not shown to differ"}
    for change in judge(recipe, *models(runs)):
        (row,) = [row for row in page.rows if len(row) == 8 and row[0] == change.name]
        assert row[3:5] == [number(change.before), number(change.after)]
        assert row[5:7] == [signed(change.value), interval(change.interval)]
        assert row[7] == said[change.name]


def test_recipes_are_compared_field_by_field(runs: dict[str, Path]) -> None:
    page = compare(runs)
    heading = next(number for number, row in enumerate(page.rows) if row[0] == "Field")
    assert page.rows[heading + 1 : heading + 3] == [
        ["seed", "0", "7"],
        ["training.learning_rate.peak", "0.0005", "0.001"],
    ]
    assert len(page.rows[heading + 3]) == 10, "the next table"
    change_recipe(runs["second"], seed=0, training=load_recipe(runs["demo"] / "recipe.yaml").training)
    assert "do not differ in anything that decides the training" in compare(runs).plain


def test_what_cannot_be_compared_is_said(recipe: Recipe, runs: dict[str, Path]) -> None:
    model = models(runs)[1]
    replace(model, settings={**model.settings, "bytes": 1}).write(runs["second"] / "evaluation")
    assert "The evaluations 'demo' and 'second' cannot be compared: they differ in bytes." in compare(runs).plain
    (runs["second"] / "evaluation" / "model.json").unlink()
    page = compare(runs)
    assert "Both models have to be measured first" in page.plain
    assert "There is no verdict yet." in page.plain


def test_abilities_of_one_run_alone_are_left_out_of_the_pairs(recipe: Recipe, runs: dict[str, Path]) -> None:
    for label in ("base", "model"):
        evaluation = read_evaluation(runs["second"] / "evaluation" / f"{label}.json")
        domains = {name: score for name, score in evaluation.domains.items() if name != "book-en"}
        replace(evaluation, domains=domains, model=f"other {label}").write(runs["second"] / "evaluation")
    retention = recipe.evaluation.retention.model_copy(update={"domains": ["en"], "margin": 0.05})
    evaluation = recipe.evaluation.model_copy(update={"retention": retention})
    sources = {name: source for name, source in recipe.sources.items() if name != "book-en"}
    change_recipe(runs["second"], evaluation=evaluation, sources=sources)
    page = compare(runs)
    assert [row[0] for row in page.rows if len(row) == 8] == ["Ability", "zh", "en"]
    assert [row[3] for row in page.rows if len(row) == 4 and row[0] == "book-en"] == ["–"]
    assert "The declared margin is 0.02 in demo and 0.05 in second" in page.plain
    assert "The runs began with different models" in page.plain


def test_suites_that_were_measured_are_side_by_side(recipe: Recipe, runs: dict[str, Path], tmp_path: Path) -> None:
    for run, right in (("demo", 30), ("second", 45)):
        loaded = change_recipe(
            runs[run], evaluation=recipe.evaluation.model_copy(update={"suites": [str(tmp_path / "exam.yaml")]})
        )
        for label, correct in (("base", 20), ("model", right)):
            answer(RunDirectory(runs[run]), tmp_path / "exam.yaml", label, correct)
    page = compare(runs)
    (comparison,) = compare_run(loaded, RunDirectory(runs["second"]))
    (task,) = comparison.tasks.values()
    change = task.change
    (row,) = [row for row in page.rows if row[0] == "arc-easy"]
    low, high = (signed(100 * bound, 1) for bound in change.interval)
    assert change.value == pytest.approx(25 / 60)
    assert row[3].startswith(f"+41.7 ({low} to {high})")
    assert row[3].endswith("gained")


def answer(run: RunDirectory, suite: Path, label: str, correct: int) -> None:
    """Results of a task of 60 items, of which the first are right."""
    suite.write_text("name: exam\ntasks: {arc-easy: {}}\ngain: [arc-easy]\n", encoding="utf-8")
    items = tuple(
        ItemResult(id=str(n), prompt=str(n), gold="A", prediction="A", scores={MEASURE: float(n < correct)})
        for n in range(60)
    )
    TaskResult("arc-easy", MEASURE, 0.25, items).write(run.suite("exam", label) / "arc-easy")


def test_names_stay_text(runs: dict[str, Path]) -> None:
    page = compare({EVIL: runs["demo"], "b": runs["second"]})
    assert "alert(1)" in page.plain
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert len([1 for attributes, _ in page.scripts if attributes.get("type") != "application/json"]) == 2
