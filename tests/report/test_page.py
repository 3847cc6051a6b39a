from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from pages import EVIL, MOST_BYTES, Page, with_colors
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import Evaluation, Sample, read_evaluation
from sapwood.files import append_line, read_json, read_lines, write_json, write_lines
from sapwood.recipe import Recipe
from sapwood.report.page import write_report
from sapwood.report.wording import interval, number, signed

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]


STATES: dict[str, dict[str, Any]] = {
    "whole": {"parts": ()},
    "moving mixture": {"parts": (), "moving": True},
    "stopped": {"parts": ("corpus", "tokens", "ledger", "metrics", "base"), "steps": 60},
    "not evaluated": {"parts": ("corpus", "tokens", "ledger", "metrics")},
    "only evaluated": {"parts": ("base", "model")},
    "prepared": {"parts": ("corpus", "tokens")},
    "planned": {"parts": ("environment",)},
}


def write(recipe: Recipe, make_run: MakeRun, state: str = "whole") -> Page:
    arguments = dict(STATES[state])
    return Page(write_report(recipe, make_run(recipe, *arguments.pop("parts"), **arguments)))


@pytest.mark.parametrize("state", STATES)
def test_a_page_is_well_formed_and_stands_alone(recipe: Recipe, make_run: MakeRun, state: str) -> None:
    page = write(recipe, make_run, state)
    assert len(page.source.encode()) < MOST_BYTES
    assert not page.values("src")
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    for address in page.values("href"):
        assert re.match(r"#|(?!//)[\w.%-]+(/|$)", address), address
        assert not address.startswith("#") or address[1:] in identifiers
    for reference in (*page.values("aria-labelledby"), *page.values("data-plot")):
        assert reference in identifiers
    style = page.source[page.source.index("<style>") : page.source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("state", STATES)
def test_every_section_is_there_in_order(recipe: Recipe, make_run: MakeRun, state: str) -> None:
    page = write(recipe, make_run, state)
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == [
        "verdict",
        "plan",
        "training",
        "mixture",
        "domains",
        "benchmarks",
        "samples",
        "account",
        "environment",
    ]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_only_the_two_scripts_of_the_page_may_run(recipe: Recipe, make_run: MakeRun) -> None:
    page = write(recipe, make_run)
    (policy,) = [
        attributes["content"] or ""
        for _, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert "plotly.js" in running[0]


@pytest.mark.parametrize("state", ["whole", "moving mixture", "stopped", "not evaluated", "only evaluated"])
def test_plotly_knows_every_property_of_every_figure(recipe: Recipe, make_run: MakeRun, state: str) -> None:
    page = write(recipe, make_run, state)
    assert page.figures
    properties = set(re.findall(r"(--[a-z0-9-]+):", page.source))
    for figure in page.figures:
        go.Figure(with_colors(figure, properties))  # raises ValueError


def test_what_data_say_stays_text(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    source = recipe.sources["manual-zh"].model_copy(update={"files": [f"data/{EVIL}"]})
    recipe = recipe.model_copy(update={"sources": {**recipe.sources, "manual-zh": source}, "model": EVIL})
    for label in ("base", "model"):
        evaluation = read_evaluation(run / "evaluation" / f"{label}.json")
        replace(evaluation, samples=(Sample(EVIL, EVIL, EVIL),)).write(run / "evaluation")
    lines = read_lines(run / "ledger.jsonl")
    for line in lines:
        if line["event"] == "round":
            line["reasons"] = [EVIL, "\u2028"]
    write_lines(run / "ledger.jsonl", lines)
    manifest = read_json(run / "corpus" / "help-zh" / "documents" / "manifest.json")
    write_json(run / "corpus" / "help-zh" / "documents" / "manifest.json", {**manifest, "reasons": {EVIL: 3}})
    quarantined = {"source": EVIL, "file": EVIL, "row": 1, "reason": EVIL, "excerpt": EVIL}
    append_line(run / "corpus" / "help-zh" / "documents" / "quarantine.jsonl", quarantined)
    write_json(run / "environment.json", {EVIL: EVIL})
    plan = read_json(run / "plan.json")
    write_json(run / "plan.json", {**plan, "remarks": [EVIL]})
    page = Page(write_report(recipe, run))
    assert "alert(1)" in page.plain
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [text for _, text in page.scripts if text.strip().startswith("alert")]
    assert len([1 for attributes, _ in page.scripts if attributes.get("type") != "application/json"]) == 2
    mixtures = [text for attributes, text in page.scripts if attributes.get("data-plot") == "plot-mixture"]
    assert "alert(1)" in mixtures[0]
    assert not set("<>&\u2028") & set(mixtures[0])
    shown = [text for trace in json.loads(mixtures[0])["data"] for text in trace.get("text", [])]
    assert all("<br>" in text and "<script" not in text and "<img" not in text for text in shown)


def test_the_numbers_of_the_verdict_are_those_of_judge(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    before, after = (read_evaluation(run / "evaluation" / f"{label}.json") for label in ("base", "model"))
    page = Page(write_report(recipe, run))
    changes = judge(recipe, before, after)
    assert {change.verdict for change in changes} >= {"gained"}
    for change in changes:
        (row,) = [row for row in page.rows if len(row) == 8 and row[0] == change.name]
        assert row[3:7] == [
            number(change.before),
            number(change.after),
            signed(change.value),
            interval(change.interval),
        ]
        assert row[7].split(maxsplit=1)[1] == change.verdict
        assert f"{change.name} {number(change.before)} → {number(change.after)} bits per byte" in page.plain
    drawn = page.figure("forest-retention")["data"][0]
    kept = [change for change in changes if change.aim == "retention"]
    assert drawn["x"] == [change.value for change in kept]
    assert drawn["error_x"]["array"] == pytest.approx([f.high - f.value for f in kept])


def test_a_margin_line_only_where_a_margin_counts(recipe: Recipe, make_run: MakeRun) -> None:
    page = write(recipe, make_run)
    gain, keep = page.figure("forest-gain"), page.figure("forest-retention")
    assert [shape["x0"] for shape in gain["layout"]["shapes"]] == [0.0]
    assert [shape["x0"] for shape in keep["layout"]["shapes"]] == [0.0, -0.02]


@pytest.mark.parametrize(
    ("state", "sentences"),
    [
        ("whole", []),
        (
            "stopped",
            ["Training is not finished.", "The adapted model has not been measured.", "There is no verdict yet."],
        ),
        ("not evaluated", ["The base model has not been measured.", "sapwood evaluate"]),
        ("only evaluated", ["No round has been decided yet.", "Not prepared yet: manual-zh, help-zh, manual-en"]),
        ("planned", ["Training has not begun.", "Nothing has been trained yet.", "sapwood prepare", "sapwood train"]),
    ],
)
def test_missing_parts_are_named_with_the_command(
    recipe: Recipe, make_run: MakeRun, state: str, sentences: list[str]
) -> None:
    page = write(recipe, make_run, state)
    for sentence in sentences:
        assert sentence in page.plain
    assert ("Next:" in page.plain) == bool(sentences)


def test_a_recipe_alone_makes_a_page(recipe: Recipe, tmp_path: Path) -> None:
    page = Page(write_report(recipe, tmp_path / "runs" / "demo"))
    assert "There is no plan yet." in page.plain


def test_evaluations_of_other_texts_are_not_judged(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    model = read_evaluation(run / "evaluation" / "model.json")
    replace(model, settings={**model.settings, "bytes": 1}).write(run / "evaluation")
    page = Page(write_report(recipe, run))
    assert "There is no verdict yet." in page.plain
    assert "cannot be compared" in page.plain
    assert "measured in another way than the base model: model" in page.plain


def test_a_domain_without_documents_is_named(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    model = read_evaluation(run / "evaluation" / "model.json")
    without(model, "book-en").write(run / "evaluation")
    page = Page(write_report(recipe, run))
    assert "The evaluation 'model' has no document of book-en." in page.plain


def without(evaluation: Evaluation, name: str) -> Evaluation:
    return replace(evaluation, domains={key: score for key, score in evaluation.domains.items() if key != name})


def test_a_single_document_has_no_interval(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    for label in ("base", "model"):
        evaluation = read_evaluation(run / "evaluation" / f"{label}.json")
        single = {name: replace(score, documents=score.documents[:1]) for name, score in evaluation.domains.items()}
        replace(evaluation, domains=single).write(run / "evaluation")
    page = Page(write_report(recipe, run))
    assert "A source with fewer than two documents has no interval." in page.plain
    assert "∞" not in page.plain
    assert "nan" not in page.plain.lower()


def test_an_older_measurement_is_said_to_be_older(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    model = read_evaluation(run / "evaluation" / "model.json")
    replace(model, tokens=model.tokens - 8192).write(run / "evaluation")
    assert "The model was measured after 974,848 tokens" in Page(write_report(recipe, run)).plain


def test_plan_and_ledger_agree_unless_the_mixture_moves(recipe: Recipe, make_run: MakeRun) -> None:
    assert "the ledger agrees with the plan to the sequence" in write(recipe, make_run).plain
    assert "In 2 lines the ledger differs from the plan" in write(recipe, make_run, "moving mixture").plain


def test_the_token_account_balances(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    page = Page(write_report(recipe, run))
    heading = next(number for number, row in enumerate(page.rows) if "= trained at least once" in row)
    rows = [[cell.replace(",", "") for cell in row] for row in page.rows[heading + 1 : heading + 5]]
    for _, prepared, once, waiting, repeated, trained, _ in rows:
        assert int(prepared) == int(once) + int(waiting)
        assert int(trained) == int(once) + int(repeated)
    assert sum(int(row[5]) for row in rows) == 1920 * 512
    assert "The account balances to the token" in page.plain
    manifest = read_json(run / "tokens" / "manual-zh" / "manifest.json")
    manifest["counts"]["tokens"] += 7
    write_json(run / "tokens" / "manual-zh" / "manifest.json", manifest)
    page = Page(write_report(recipe, run))
    assert "The account does not balance" in page.plain
    assert "(off by +7)" in page.plain


def test_languages_are_marked(recipe: Recipe, make_run: MakeRun) -> None:
    page = write(recipe, make_run)
    texts = [attributes.get("lang") for _, attributes in page.elements if "text" in (attributes.get("class") or "")]
    assert texts == ["zh", "zh", "zh", "en", "en", "en", "zh", None, "zh"]


def test_long_runs_make_small_pages(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    (line, *_) = read_lines(run / "metrics.jsonl")
    write_lines(run / "metrics.jsonl", [{**line, "step": step, "tokens": 8192 * step} for step in range(1, 30_001)])
    path = write_report(recipe, run)
    assert path.stat().st_size < MOST_BYTES
    assert "Each point is the mean of up to 25 steps." in Page(path).plain
