"""Above zero is better, in every path by which a change reaches a reader, whatever is measured.

Held-out text in bits per byte gets better where they fall, a task's score where it rises, and a task in bits per byte
where they fall again. What is made better or worse here must be read as that everywhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from made_results import bits, choices, suite
from pages import Page, view_of
from sapwood.cli import evaluate as evaluate_verb
from sapwood.cli.compare import print_comparison
from sapwood.evaluation.comparison import Comparison, compare
from sapwood.evaluation.gate import judge, mean_change
from sapwood.evaluation.in_loop import losses
from sapwood.evaluation.merged import Point
from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation, read_evaluation
from sapwood.mixture.gates import early_end
from sapwood.mixture.measured import Measured
from sapwood.pipeline.evaluate import Evaluated
from sapwood.pipeline.handle import Run
from sapwood.recipe import Recipe
from sapwood.recipe.mixture import Gate
from sapwood.report import plots
from sapwood.report.card import write_card
from sapwood.report.card.benchmarks import benchmarks
from sapwood.report.comparison import write_comparison
from sapwood.report.domains import changes
from sapwood.report.gain_retention import planes
from sapwood.report.heat import heat_map
from sapwood.report.merge import curve
from sapwood.report.page import write_report
from sapwood.report.palette import palette
from sapwood.report.verdict import statement, task_statement
from sapwood.report.wording import signed
from sapwood.runs.directory import RunDirectory
from sapwood.training.track import measured_values

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]
SIGNED = re.compile(r"([+−])\d")
MOVED = st.one_of(st.floats(-0.4, -0.25), st.floats(0.25, 0.4))
"""By how much better something gets: more than margins and noise."""


def sign(text: str) -> int:
    """Of the first signed number in a text."""
    found = SIGNED.search(text)
    assert found is not None, text
    return 1 if found[1] == "+" else -1


def of(value: float) -> int:
    return 1 if value > 0 else -1


def evaluation(recipe: Recipe, label: str, better: float) -> Evaluation:
    """Three documents a source, of a model that needs so much less than 2 bits per byte."""
    noise = (0.01, -0.02, 0.015)
    domains = {
        name: DomainScore(
            tuple(
                DocumentScore(f"{name}{n}", 1000, 300, 1000 * np.log(2) * (2 - better + (shift if better else 0)))
                for n, shift in enumerate(noise)
            )
        )
        for name in recipe.sources
    }
    return Evaluation(label=label, model=label, tokens=0, settings={}, domains=domains)


def compared(better: float) -> Comparison:
    """The made-up suite: two tasks of a score, and one in bits per byte."""
    first, second = np.arange(100) < 50, np.arange(100) < round(50 + 100 * better)
    before = {"new": choices("new", first), "old": choices("old", first), "sums": bits("sums", [20.0, 21.0, 22.0])}
    moved = [20.0 - 10 * better, 21.1 - 10 * better, 22.2 - 10 * better]
    after = {"new": choices("new", second), "old": choices("old", second), "sums": bits("sums", moved)}
    return compare(suite(), before, [after], model="m")


def printed(write: Callable[[Console], None]) -> list[str]:
    text = io.StringIO()
    write(Console(file=text, width=200))
    return text.getvalue().splitlines()


@settings(max_examples=6, deadline=None)
@given(better=MOVED)
def test_tasks(better: float) -> None:
    comparison = compared(better)
    lines = printed(lambda console: print_comparison(console, comparison))
    rows = {row.cells[0].text: row.cells for row in benchmarks(comparison).table.rows}
    for name, task in comparison.tasks.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        figure = plots.forest([task.change], task.change.margin)
        assert {
            of(task.change.value),
            sign(line),
            sign(rows[name][6].text),
            sign(task_statement(task, "made").text),
        } == {of(better)}
        assert of(figure["data"][0]["x"][0]) == of(better)
        assert figure["layout"]["shapes"][1]["x0"] < 0, "a margin is a loss"
        assert task.change.passed == (better > 0)
    assert bool(comparison.failures) == (better < 0)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(better=MOVED)
def test_held_out_text_and_what_decides_by_it(recipe: Recipe, better: float) -> None:
    base, now = evaluation(recipe, "base", 0.0), evaluation(recipe, "model", better)
    measured = losses(recipe, now, base, base)["help-zh"]
    assert measured.since_base is not None
    assert of(measured.since_base.value) == of(better)
    again = Measured.from_json(measured.to_json())
    assert again == measured
    assert of(measured.to_json()["since_base"]["value"]) == -of(better), "the ledger keeps after - before"
    assert of(measured_values({"zh": measured})["eval/zh/improvement"]) == of(better)
    ended = early_end(Gate(retention=0.02), {}, {"zh": measured})
    assert (ended is not None) == (better < 0)
    for change in judge(recipe, base, now):
        assert {of(change.value), of(change.low), of(change.high), sign(statement(change).text)} == {of(better)}
        assert (change.after < change.before) == (better > 0)
        assert change.passed == (better > 0)


@pytest.mark.parametrize("better", [0.2, -0.2])
def test_every_page(
    recipe: Recipe, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: float
) -> None:
    run, expected = make_run(recipe), of(better)
    base = read_evaluation(run / "evaluation" / "base.json")

    def moved(label: str, share: float) -> Evaluation:
        old = read_evaluation(run / "evaluation" / f"{label}.json")
        parts = {
            name: DomainScore(
                tuple(
                    replace(document, nats=document.nats * (1 - share * better * (1 + n / 100)))
                    for n, document in enumerate(score.documents)
                )
            )
            for name, score in base.domains.items()
        }
        return replace(old, domains=parts)

    for label, share in ((f"step-{96:08}", 0.5), ("model", 1.0)):
        moved(label, share).write(run / "evaluation")
    # Python
    found = Run(recipe, RunDirectory(run)).changes
    assert {of(change.value) for change in found} == {expected}
    # terminal
    console = Console(file=io.StringIO(), width=160, record=True)
    monkeypatch.setattr(evaluate_verb, "Output", lambda stderr: console)
    after = read_evaluation(run / "evaluation" / "model.json")
    evaluate_verb.print_verdict(recipe, Evaluated(base, after, tuple(found), ()))
    lines = console.export_text().splitlines()
    for change in found:
        (line,) = [line for line in lines if line.startswith(f"{change.name} ")]
        assert f" {signed(change.value)}" in line
    # figures and sections of the report
    facts = view_of(recipe, run)
    (held_out,) = planes(facts)
    assert {of(value) for axis in "xy" for value in held_out.figure["data"][0][axis][1:]} == {expected}
    heat = heat_map(facts)
    assert heat is not None
    assert {cell.better for part in heat.parts for _, cells in part.rows for cell in cells if cell} == {better > 0}
    moves = changes(facts, facts.evaluations[1:], "help-zh")
    assert {of(change.value) for change in moves if change} == {expected}
    # pages and the card
    page = Page(write_report(recipe, run))
    (run / "model").mkdir(exist_ok=True)
    write_card(recipe, run)
    card = (run / "model" / "README.md").read_text(encoding="utf-8").splitlines()
    for change in found:
        (row,) = [row for row in page.rows if len(row) == 8 and row[0] == change.name]
        assert {sign(row[5]), sign(row[6])} == {expected}
        (line,) = [line for line in card if line.startswith(f"| {change.name} ")]
        assert sign(line.split("|")[6]) == expected
    for source in ("help-zh", "manual-en"):
        (row,) = [row for row in page.rows if len(row) == 10 and row[0] == source]
        assert sign(row[6]) == expected
    both = Page(write_comparison({"first": run, "second": run}, tmp_path / "both.html"))
    cells = [row[2] for row in both.rows if len(row) == 4 and row[0] in {change.name for change in found}]
    assert {sign(cell) for cell in cells} == {expected}
    # merged weights
    point = Point("ema", 1.0, tuple(found), tuple(found))
    figure = curve([point], palette({point.name: "gain"}), 0.95, 0.02)
    gained = mean_change(found, "gain")
    assert figure is not None
    assert gained is not None
    assert of(figure["data"][0]["y"][1]) == of(gained.value) == expected
