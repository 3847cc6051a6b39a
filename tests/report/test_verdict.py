from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from sapwood.evaluation.gate import Finding, Verdict
from sapwood.recipe import Recipe
from sapwood.report.facts import read_facts
from sapwood.report.verdict import HEADINGS, SIGNS, lead, statement, tally, task_statement
from sapwood.statistics.estimate import Estimate

pytestmark = pytest.mark.slow


def finding(name: str, verdict: Verdict, low: float = -0.43, high: float = -0.37) -> Finding:
    kind: Literal["gain", "retention"] = "gain" if verdict in ("gained", "no gain shown", "worse") else "retention"
    change = Estimate((low + high) / 2 if math.isfinite(low) else -0.4, 0.01, 15)
    return Finding(kind, name, (name,), 16, 1.61, 1.21, change, (low, high), verdict)


def test_the_lead_names_every_domain_once_gains_first() -> None:
    findings = [
        finding("zh", "gained"),
        finding("ja", "no gain shown"),
        finding("ko", "worse"),
        finding("en", "kept"),
        finding("de", "improved"),
        finding("fr", "loss not excluded"),
        finding("it", "lost"),
    ]
    assert lead(findings) == (
        "zh was gained; en and de were kept; no gain is shown for ja; ko got worse; a loss of fr is not excluded; "
        "it was lost."
    )
    assert tally(findings) == "3 of 7 demands of the recipe are met."


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("loss not excluded", "A loss of zh is not excluded."), ("no gain shown", "No gain is shown for zh.")],
)
def test_a_lead_begins_with_a_capital_unless_with_a_name(verdict: Verdict, expected: str) -> None:
    assert lead([finding("zh", verdict)]) == expected
    assert tally([finding("zh", verdict)]) == "0 of 1 demands of the recipe are met."


def test_all_met() -> None:
    assert tally([finding("zh", "gained"), finding("en", "kept")]) == "All 2 demands of the recipe are met."


def test_every_verdict_has_words_and_a_sign_of_its_outcome() -> None:
    assert SIGNS.keys() == HEADINGS.keys()
    for verdict in SIGNS:
        assert (SIGNS[verdict] == "✓") == finding("zh", verdict).passed


def test_a_statement_has_all_numbers() -> None:
    said = statement(finding("zh", "gained"), 0.02, 0.95)
    assert f"{said.heading}: {said.text}" == (
        "Gained: zh 1.610 → 1.210 bits per byte (−0.400, 95% interval −0.430 to −0.370)."
    )
    assert said.passed
    assert "within the declared margin of 0.02" in statement(finding("en", "kept", -0.01, 0.01), 0.02, 0.95).text
    assert "no interval" in statement(finding("en", "loss not excluded", -math.inf, math.inf), 0.02, 0.95).text


def test_of_a_suite_many_tasks_are_counted(benchmarked: tuple[Recipe, Path]) -> None:
    (comparison,) = read_facts(*benchmarked).benchmarks
    (kept,) = [task for task in comparison.tasks.values() if task.task == "arc-easy"]
    tasks = {name: replace(kept, task=name) for name in ("a", "b", "c", "d", "e")}
    few = replace(comparison, tasks={name: tasks[name] for name in "abcd"})
    assert lead([], [few]) == "On the benchmarks of exam, a, b, c and d were kept."
    many = replace(comparison, tasks={**tasks, "f": replace(kept, task="f", verdict="lost")})
    found = [finding("zh", "no gain shown")]
    assert lead(found, [many]) == "No gain is shown for zh. On the benchmarks of exam, 5 tasks were kept; f was lost."
    assert tally(found, [many]) == "5 of 7 demands of the recipe are met."
    assert tally(found, [many], 1) == "5 of 8 demands of the recipe are met; 1 was not measured."


def test_bits_of_a_task_fall_where_it_gets_better(benchmarked: tuple[Recipe, Path]) -> None:
    (comparison,) = read_facts(*benchmarked).benchmarks
    task = comparison.tasks["humaneval"]
    assert task.change.value < 0
    said = task_statement(task, "exam", 0.95).text
    assert said.startswith(
        f"humaneval of exam {task.before.value:.3f} → {task.after[0].value:.3f} bits per byte (+0.01"
    )
    assert "the declared margin is 0.020" in said
