from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pages import view_of
from sapwood.files import read_json, write_json
from sapwood.recipe import Recipe
from sapwood.report.aims import aims

MakeRun = Callable[..., Path]


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("steps", [0, 37, 96, 97, None])
def test_all_accounts_tell_of_the_same_tokens(
    recipe: Recipe, make_run: MakeRun, steps: int | None, moving: bool
) -> None:
    facts = view_of(recipe, make_run(recipe, "tokens", "ledger", "metrics", steps=steps, moving=moving))
    assert facts.position == (120 if steps is None else steps) * 16
    assert facts.trained_tokens == facts.account.trained == facts.position * 512
    assert facts.finished == (steps is None)
    assert not facts.account.off
    stages = facts.account.stages
    assert sum(stage.total.trained for stage in stages) == facts.position
    assert [stage.begun for stage in stages] == [facts.position > 0, facts.position > 1536]
    if steps is None:
        assert all(stage.total.difference == 0 for stage in stages)
        assert any(line.difference for stage in stages for line in stage.lines) == moving


def test_a_crash_between_log_and_ledger_counts_what_is_logged(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe, "ledger", "metrics", steps=50)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 51, "posit')
    assert view_of(recipe, run).position == 800


def test_a_stage_that_was_added_is_not_finished(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe, "ledger", "metrics")
    plan = read_json(run / "plan.json")
    write_json(run / "plan.json", {**plan, "stages": [*plan["stages"], {**plan["stages"][-1], "name": "more"}]})
    facts = view_of(recipe, run)
    assert not facts.finished
    assert [(span.name, span.start, span.over) for span in facts.spans] == [
        ("adaptation", 0, True),
        ("annealing", 786_432, True),
        ("more", 983_040, False),
    ]


def test_a_stage_that_a_gate_ended_is_over(divided: tuple[Recipe, Path]) -> None:
    facts = view_of(*divided)
    assert facts.finished
    first, second = facts.spans
    assert (first.start, first.over, second.over) == (0, True, True)
    assert first.stop == second.start < 480_000
    assert second.stop == facts.trained_tokens == second.start + 96_000
    (ending,) = facts.endings
    assert ending.startswith(
        f"Stage 'adaptation' was ended by its gate after {first.stop:,} of 480,000 tokens. Retention"
    )


def test_aims_are_those_of_the_recipe(recipe: Recipe) -> None:
    assert aims(recipe) == {
        "manual-zh": "gain",
        "help-zh": "gain",
        "manual-en": "retention",
        "arithmetic": "",
        "book-en": "retention",
    }
