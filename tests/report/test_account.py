from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.recipe import Recipe
from sapwood.report.account import SourceAccount, aims, source_accounts, stage_accounts
from sapwood.report.facts import read_facts

MakeRun = Callable[..., Path]


@given(prepared=st.integers(1, 10**12), trained=st.integers(0, 10**13))
def test_prepared_times_passes_is_trained_and_waiting(prepared: int, trained: int) -> None:
    account = SourceAccount("web", False, prepared, trained)
    assert account.passes_begun is not None
    assert account.waiting is not None
    assert account.passes_begun >= 1
    assert prepared * account.passes_begun == trained + account.waiting
    assert 0 <= account.waiting <= prepared
    assert (account.waiting == prepared) == (trained == 0)


@pytest.mark.parametrize("prepared", [None, 0])
def test_without_tokens_there_is_no_balance(prepared: int | None) -> None:
    account = SourceAccount("web", False, prepared, 0)
    assert (account.passes, account.passes_begun, account.waiting) == (None, None, None)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("steps", [0, 37, 96, 97, None])
def test_all_accounts_tell_of_the_same_sequences(
    recipe: Recipe, make_run: MakeRun, steps: int | None, moving: bool
) -> None:
    facts = read_facts(recipe, make_run(recipe, "tokens", "ledger", "metrics", steps=steps, moving=moving))
    assert facts.position == (120 if steps is None else steps) * 16
    assert facts.finished == (steps is None)
    stages = stage_accounts(facts)
    assert sum(stage.total.trained for stage in stages) == facts.position
    assert sum(source.trained for source in source_accounts(facts)) == facts.trained_tokens
    assert [stage.begun for stage in stages] == [facts.position > 0, facts.position > 1536]
    by_source = {
        name: sum(line.trained for stage in stages for line in stage.lines if line.domain == name)
        for name in recipe.sources
    }
    assert {source.name: source.trained for source in source_accounts(facts)} == {
        name: sequences * 512 for name, sequences in by_source.items()
    }
    if steps is None:
        assert all(stage.total.difference == 0 for stage in stages)
        assert any(line.difference for stage in stages for line in stage.lines) == moving


def test_a_crash_between_log_and_ledger_counts_what_is_logged(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe, "ledger", "metrics", steps=50)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 51, "posit')
    assert read_facts(recipe, run).position == 800


def test_aims_are_those_of_the_recipe(recipe: Recipe, tmp_path: Path) -> None:
    assert aims(read_facts(recipe, tmp_path)) == {
        "manual-zh": "gain",
        "help-zh": "gain",
        "manual-en": "retention",
        "arithmetic": "",
        "book-en": "retention",
    }
