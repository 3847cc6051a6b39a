from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import plotly.graph_objects as go
import pytest

from pages import EVIL, MOST_BYTES, Page, view_of, with_colors
from sapwood.evaluation.comparison import Comparison, compare
from sapwood.evaluation.run_comparison import compare_run, read_results
from sapwood.recipe import Recipe
from sapwood.recipe.suite import load_suite
from sapwood.report.benchmarks import PROBES, benchmarks_section
from sapwood.report.html import render
from sapwood.report.page import write_report
from sapwood.report.verdict import lead
from sapwood.report.wording import count, interval, p_value, score, score_change
from sapwood.runs.directory import RunDirectory
from sapwood.statistics.change import BITS_PER_BYTE
from sapwood.suites.item_result import read_task_result

pytestmark = pytest.mark.slow

Run = tuple[Recipe, Path]


def adapted(run: Run) -> Comparison:
    return compare_run(run[0], RunDirectory(run[1]))[-1]


def page_of(run: Run) -> Page:
    return Page(write_report(*run))


def row_of(page: Page, name: str, columns: int) -> list[str]:
    (row,) = [row for row in page.rows if len(row) == columns and row[0].startswith(name)]
    return [" ".join(cell.split()) for cell in row]


def test_the_numbers_are_those_of_the_comparison(benchmarked: Run) -> None:
    page, comparison = page_of(benchmarked), adapted(benchmarked)
    assert comparison.model == "model"
    for task in comparison.tasks.values():
        cells = row_of(page, task.task, 9)
        assert cells[1] == count(task.before.level.items)
        assert cells[2].split("°")[0] == score(task.change.before, task.change.metric)
        assert cells[3].split("°")[0] == score(task.change.after, task.change.metric)
        assert cells[4].split("∗")[0] == score_change(task.change.value, task.change.metric)
        assert cells[5:8] == [
            interval(task.change.interval, task.change.metric),
            p_value(task.change.p_value),
            score(task.detectable, task.change.metric),
        ]
        assert (task.change.verdict or "not judged") in cells[8]


def test_marks_have_words(benchmarked: Run) -> None:
    page = page_of(benchmarked)
    assert row_of(page, "ceval", 9)[4].endswith("∗ significant")
    assert "∗" not in row_of(page, "gsm8k", 9)[4]
    assert row_of(page, "sciq", 9)[2].endswith("° at chance")
    assert row_of(page, "sciq", 9)[8] == "not judged, at chance"
    hidden = [attributes for tag, attributes in page.elements if attributes.get("class") == "mark"]
    assert hidden
    assert all(attributes.get("aria-hidden") == "true" for attributes in hidden)


def test_the_best_is_bold_and_the_second_underlined(benchmarked: Run) -> None:
    source = page_of(benchmarked).source
    comparison = adapted(benchmarked)
    for name, best, second in (("ceval", "after", "before"), ("mmlu", "before", "after")):
        task = comparison.tasks[name]
        values = {"before": score(task.before.value), "after": score(task.after[0].value)}
        assert f"<b>{values[best]}</b>" in source
        assert f"<u>{values[second]}</u>" in source
    bits = comparison.tasks["humaneval"]
    better = min(bits.before.value, bits.after[0].value)
    assert f"<b>{score(better, BITS_PER_BYTE)}</b>" in source


def test_languages_and_probes_stand_apart(benchmarked: Run) -> None:
    (view,) = benchmarks_section(view_of(*benchmarked))["suites"]
    assert [(title, [row.task.task for row in rows]) for title, rows in view.groups] == [
        ("Chinese", ["ceval"]),
        ("English", ["gsm8k", "mmlu", "arc-easy", "humaneval", "sciq"]),
        (PROBES, ["icl-words"]),
    ]
    assert [(mean.aim, mean.language, mean.tasks) for mean in view.means] == [
        ("gain", "", 2),
        ("gain", "Chinese", 1),
        ("gain", "English", 1),
        ("retention", "", 3),
        ("retention", "English", 3),
    ]
    assert view.models == ["base model", "step 96", "adapted model"]
    for row in view.rows:
        assert [cell.rank for cell in row.trajectory].count("best") >= 1
    facts = view_of(*benchmarked)
    (_, points, names), (unit, bits, _) = view.trajectories
    assert unit == "bits per byte"
    assert len(bits["data"]) == 1
    assert len(points["data"]) == len(names) == 6
    ceval = points["data"][0]
    assert list(ceval["x"]) == [0, facts.tokens_of("step-00000096"), facts.tokens_of("model")]
    assert ceval["y"][-1] == pytest.approx(100 * adapted(benchmarked).tasks["ceval"].change.value)


def test_what_was_forgotten_is_shown_item_by_item(benchmarked: Run) -> None:
    page, comparison = page_of(benchmarked), adapted(benchmarked)
    for task in comparison.tasks.values():
        if task.flips is None:
            continue
        cells = row_of(page, task.task, 8)
        flips = task.flips
        shown = [flips.lost.estimate.value, flips.won.estimate.value, flips.by_guessing]
        shown += [flips.forgotten.values[0], flips.learned.values[0]]
        for cell, value in zip(cells[3:], shown, strict=True):
            assert cell.startswith(score(value))
    assert comparison.tasks["humaneval"].flips is None
    assert sum("ceval by subject" in text for text in page.text.splitlines()) == 1
    assert {"物理", "law"} <= {row[0] for row in page.rows}


def test_a_failed_gate_is_a_failed_demand(benchmarked: Run) -> None:
    page, comparison = page_of(benchmarked), adapted(benchmarked)
    assert comparison.tasks["mmlu"].change.verdict == "lost"
    verdict = page.plain.split("Plan and ledger")[1]
    assert "On the benchmarks of exam, ceval was gained;" in verdict
    assert "mmlu was lost." in verdict
    judged = [task for task in comparison.tasks.values() if task.change.verdict]
    met = sum(task.change.passed for task in judged)
    found = re.search(r"(\d+) of (\d+) demands of the recipe are met\.", page.plain)
    assert found
    assert int(found[2]) == 3 + len(judged)
    assert int(found[1]) <= 3 + met
    assert "No gain shown: gsm8k of exam" in page.plain
    assert f"Lost: mmlu of exam {score(comparison.tasks['mmlu'].before.value)}" in page.plain


def test_what_was_not_measured_is_no_demand_that_is_met(benchmarked: Run) -> None:
    for task in ("gsm8k", "mmlu", "sciq"):
        shutil.rmtree(RunDirectory(benchmarked[1]).suite("exam", "model") / task)
    page = page_of(benchmarked)
    assert "of 9 demands of the recipe are met; 2 were not measured." in page.plain
    assert "Not measured on both models, of the tasks that exam judges: gsm8k, mmlu" not in page.plain
    assert "Not measured on both models, of the tasks that exam judges: gsm8k and mmlu." in page.plain


@pytest.mark.parametrize("suite", ["other prompts", "no such suite"])
def test_results_that_cannot_be_compared_are_said_to_be_so(benchmarked: Run, suite: str) -> None:
    recipe, run = benchmarked
    if suite == "no such suite":
        Path(recipe.evaluation.suites[0]).unlink()
        expected = "There is no suite"
    else:
        place = RunDirectory(run).suite("exam", "model") / "mmlu"
        result = read_task_result(place)
        replace(result, items=tuple(replace(item, prompt="other") for item in result.items)).write(place)
        expected = "400 items were asked with other prompts"
    page = page_of(benchmarked)
    assert page.plain.count(expected) == 2  # in the verdict, and where the benchmarks would be
    assert not re.search("demands? of the recipe", page.plain)


def test_a_recipe_without_suites_says_so(recipe: Recipe, benchmarked: Run) -> None:
    page = Page(write_report(recipe, benchmarked[1]))
    assert "The recipe names no suites of benchmarks" in page.plain
    assert "On the benchmarks" not in page.plain


def test_clean_items_stand_beside_all(benchmarked: Run) -> None:
    recipe, run = benchmarked
    suite = load_suite(recipe.evaluation.suites[0])
    before, after = (read_results(RunDirectory(run).suite("exam", label)) for label in ("base", "model"))
    found = {"mmlu": frozenset(item.id for item in before["mmlu"].items[:100])}
    compared = compare(suite, before, [after], model="model", overlap=found)
    facts = view_of(recipe, run)
    facts.comparisons = (compared,)
    part = benchmarks_section(facts)
    html = render(
        "page.html.j2",
        [("benchmarks", "Benchmarks")],
        recipe=recipe,
        parts={"benchmarks": part, "verdict": {"lead": ""}},
        folder="",
        run="run",
        started="",
        ended="",
        AIMS={"gain": "to gain", "retention": "to keep", "": "not judged"},
    )
    path = run / "clean.html"
    path.write_text(html, encoding="utf-8")
    page = Page(path)
    cells = row_of(page, "mmlu", 10)
    clean = compared.tasks["mmlu"].clean
    assert clean is not None
    assert cells[6].startswith(score_change(clean.value))
    assert cells[6].endswith("300 items")
    assert row_of(page, "arc-easy", 10)[6].endswith("900 items")


def test_the_page_holds_with_benchmarks(benchmarked: Run) -> None:
    recipe, run = benchmarked
    file = Path(recipe.evaluation.suites[0])
    file.write_text(file.read_text("utf-8").replace("Questions that a school might ask.", f"'{EVIL}'"), "utf-8")
    for label in ("base", "model"):
        place = RunDirectory(run).suite("exam", label) / "ceval"
        result = read_task_result(place)
        replace(result, items=tuple(replace(item, subject=EVIL) for item in result.items)).write(place)
    page = page_of(benchmarked)
    assert len(page.source.encode()) < MOST_BYTES
    assert page.plain.count("alert(1)") >= 2
    assert not [tag for tag, _ in page.elements if tag == "img"]
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    assert set(page.values("data-plot")) <= set(identifiers)
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in pairwise(headings))
    properties = set(re.findall(r"(--[a-z0-9-]+):", page.source))
    for figure in page.figures:
        go.Figure(with_colors(figure, properties))  # raises ValueError where plotly knows no such thing


def test_what_had_nothing_to_lose_is_not_praised_for_keeping_it(benchmarked: Run) -> None:
    comparison = adapted(benchmarked)
    kept = comparison.tasks["arc-easy"]
    assert "arc-easy" in lead((), (comparison,)).partition("kept")[0]
    generous = replace(kept, change=replace(kept.change, margin=1.0))
    wide = replace(comparison, tasks={"arc-easy": generous})
    assert lead((), (wide,)) == f"On the benchmarks of {comparison.suite}, arc-easy had nothing to lose."
