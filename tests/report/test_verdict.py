from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pages import view_of
from sapwood.evaluation.comparison import ComparedTask
from sapwood.recipe import Recipe
from sapwood.report.verdict import HEADINGS, SIGNS, lead, statement, tally, task_statement
from sapwood.statistics.change import BITS_PER_BYTE, Aim, Change, Verdict
from sapwood.statistics.estimate import Estimate

pytestmark = pytest.mark.slow


def judged(name: str, verdict: Verdict, low: float = 0.37, high: float = 0.43) -> Change:
    aim: Aim = "gain" if verdict in ("gained", "no gain shown", "worse") else "retention"
    estimate = Estimate((low + high) / 2 if math.isfinite(low) else 0.4, 0.01, 15)
    change = Change.of(name, BITS_PER_BYTE, 1.61, 1.21, estimate, n=16, confidence=0.95, aim=aim, margin=0.02)
    return replace(change, low=low, high=high, verdict=verdict)


def test_the_lead_names_every_domain_once_gains_first() -> None:
    changes = [
        judged("zh", "gained"),
        judged("ja", "no gain shown"),
        judged("ko", "worse"),
        judged("en", "kept"),
        judged("de", "improved"),
        judged("fr", "loss not excluded"),
        judged("it", "lost"),
    ]
    assert lead(changes) == (
        "zh was gained; en and de were kept; no gain is shown for ja; ko got worse; a loss of fr is not excluded; "
        "it was lost."
    )
    assert tally(changes) == "3 of 7 demands of the recipe are met."


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("loss not excluded", "A loss of zh is not excluded."), ("no gain shown", "No gain is shown for zh.")],
)
def test_a_lead_begins_with_a_capital_unless_with_a_name(verdict: Verdict, expected: str) -> None:
    assert lead([judged("zh", verdict)]) == expected
    assert tally([judged("zh", verdict)]) == "0 of 1 demands of the recipe are met."


def test_all_met() -> None:
    assert tally([judged("zh", "gained"), judged("en", "kept")]) == "All 2 demands of the recipe are met."


def test_every_verdict_has_words_and_a_sign_of_its_outcome() -> None:
    assert SIGNS.keys() == HEADINGS.keys()
    for verdict in SIGNS:
        assert (SIGNS[verdict] == "✓") == judged("zh", verdict).passed


def test_a_statement_has_all_numbers() -> None:
    said = statement(judged("zh", "gained"))
    assert f"{said.heading}: {said.text}" == (
        "Gained: zh 1.610 → 1.210 bits per byte (+0.400, 95% interval +0.370 to +0.430)."
    )
    assert said.passed
    assert "within the declared margin of 0.02" in statement(judged("en", "kept", -0.01, 0.01)).text
    assert "no interval" in statement(judged("en", "loss not excluded", -math.inf, math.inf)).text


def named(task: ComparedTask, name: str, **fields: Any) -> ComparedTask:
    return replace(task, change=replace(task.change, name=name, **fields))


def test_of_a_suite_many_tasks_are_counted(benchmarked: tuple[Recipe, Path]) -> None:
    (comparison,) = view_of(*benchmarked).benchmarks
    (kept,) = [task for task in comparison.tasks.values() if task.task == "arc-easy"]
    tasks = {name: named(kept, name) for name in ("a", "b", "c", "d", "e")}
    few = replace(comparison, tasks={name: tasks[name] for name in "abcd"})
    assert lead([], [few]) == "On the benchmarks of exam, a, b, c and d were kept."
    many = replace(comparison, tasks={**tasks, "f": named(kept, "f", verdict="lost")})
    found = [judged("zh", "no gain shown")]
    assert lead(found, [many]) == "No gain is shown for zh. On the benchmarks of exam, 5 tasks were kept; f was lost."
    assert tally(found, [many]) == "5 of 7 demands of the recipe are met."
    assert tally(found, [many], 1) == "5 of 8 demands of the recipe are met; 1 was not measured."


def test_more_bits_of_a_task_are_a_loss(benchmarked: tuple[Recipe, Path]) -> None:
    (comparison,) = view_of(*benchmarked).benchmarks
    task = comparison.tasks["humaneval"]
    assert task.change.value < 0
    said = task_statement(task, "exam").text
    assert said.startswith(
        f"humaneval of exam {task.before.value:.3f} → {task.after[0].value:.3f} bits per byte (−0.01"
    )
    assert "the declared margin is 0.020" in said
