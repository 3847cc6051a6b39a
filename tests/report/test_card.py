from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import read_evaluation
from sapwood.recipe import Recipe
from sapwood.report.card import write_card
from sapwood.report.wording import interval, number, signed

MakeRun = Callable[..., Path]


def card(recipe: Recipe, run: Path) -> tuple[dict[str, Any], str]:
    """Front matter and body."""
    write_card(recipe, run)
    opening, front, body = (run / "model" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert not opening
    return dict(YAML(typ="safe").load(front)), body


def test_the_card_says_what_the_run_says(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    front, body = card(recipe, run)
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M"
    assert front["language"] == ["en", "zh"]
    assert front["library_name"] == "transformers"
    before, after = (read_evaluation(run / "evaluation" / f"{label}.json") for label in ("base", "model"))
    for finding in judge(recipe, before, after):
        numbers = (number(finding.before), number(finding.after), signed(finding.change.value))
        assert f"| {' | '.join(numbers)} | {interval(finding.interval)} |" in body
    assert "trained further on 983,040 tokens" in body
    assert "| manual-zh | manual | zh | 389,120 | 0.94 |" in body
    assert "book-en" in body  # measured, and therefore in the verdict
    assert "| book-en | book |" not in body  # and never trained on


def test_a_model_that_was_not_measured_is_not_praised(recipe: Recipe, make_run: MakeRun) -> None:
    _, body = card(recipe, make_run(recipe, "ledger", "metrics"))
    assert "has not been measured yet" in body
    assert "gained;" not in body


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("org/name@main", "org/name"),
        ("package:module/file.gguf", None),
        ("models/file.gguf", None),
        ("/models/mine", None),
    ],
)
def test_only_hub_names_are_named_as_base_model(
    recipe: Recipe, make_run: MakeRun, model: str, expected: str | None
) -> None:
    front, _ = card(recipe.model_copy(update={"model": model}), make_run(recipe, "ledger", "metrics"))
    assert front.get("base_model") == expected


def test_text_cannot_leave_its_cell(recipe: Recipe, make_run: MakeRun) -> None:
    source = recipe.sources["manual-zh"].model_copy(update={"kind": "a | b\n# <script>"})
    changed = recipe.model_copy(update={"sources": {**recipe.sources, "manual-zh": source}})
    _, body = card(changed, make_run(recipe, "ledger", "metrics"))
    assert r"a \| b \# \<script\>" in body
