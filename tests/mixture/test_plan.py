from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.mixture.plan import make_plan, unavailable
from sapwood.mixture.weights import leaf_weights
from sapwood.recipe import load_recipe

PAPER = Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml"

# What the shares of the released code come to, in billions of tokens, for the first and the second stage.
VOLUMES = {
    "web-zh": ("12.95", "0.525"),
    "encyclopedia-zh": ("0.925", "0.0375"),
    "book-zh": ("3.70", "0.150"),
    "qa_forum-zh": ("0.925", "0.0375"),
    "web-en": ("29.60", "2.100"),
    "encyclopedia-en": ("3.70", "0.2625"),
    "book-en": ("11.10", "0.7875"),
    "qa_forum-en": ("3.70", "0.2625"),
    "paper-en": ("7.40", "0.525"),
    "math-en": ("7.40", "0.525"),
    "code-en": ("11.10", "0.7875"),
    "synthetic-qa": ("0", "1.5"),
}
KINDS = {
    "web": "45.175",
    "encyclopedia": "4.925",
    "book": "15.7375",
    "qa_forum": "4.925",
    "paper": "7.925",
    "math": "7.925",
    "code": "11.8875",
    "synthetic": "1.5",
}


def test_the_papers_volumes_to_the_last_digit() -> None:
    plan = make_plan(load_recipe(PAPER), {})
    assert {domain.name: domain.tokens for domain in plan.domains} == {
        name: tuple(Fraction(volume) * 10**9 for volume in volumes) for name, volumes in VOLUMES.items()
    }
    totals = dict.fromkeys(KINDS, Fraction(0))
    for domain in plan.domains:
        assert domain.kind is not None
        totals[domain.kind] += sum(domain.tokens)
        exact = sum(domain.tokens) / plan.sequence_length
        assert abs(domain.sequences - exact) < 2, "two stages, each within one sequence"
    assert totals == {kind: Fraction(volume) * 10**9 for kind, volume in KINDS.items()}
    assert not plan.refusals


def test_stage_boundaries_are_within_one_sequence_of_the_budgets() -> None:
    plan = make_plan(load_recipe(PAPER), {})
    assert 0 <= 92_500_000_000 - plan.stages[0].stop * 8192 < 8192
    assert 0 <= 100_000_000_000 - plan.stages[1].stop * 8192 < 8192


def test_what_cannot_be_carried_out_yet_is_said() -> None:
    places = [place for place, _ in unavailable(load_recipe(PAPER))]
    assert places == [("stages", "0", "order", "zh"), ("stages", "0", "controller", "kind")]


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(min_value=0, max_value=9), min_size=1),
    st.lists(st.integers(min_value=1, max_value=9), min_size=3, max_size=3),
)
def test_leaf_weights_sum_to_one(mixture: dict[str, int], inner: list[int]) -> None:
    if not sum(mixture.values()):
        return
    groups = {group: {f"{group}{n}": Fraction(share) for n, share in enumerate(inner)} for group in "abc"}
    weights = leaf_weights({group: Fraction(share) for group, share in mixture.items()}, groups)
    assert sum(weights.values()) == 1
    assert min(weights.values()) > 0


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nmodel: m/m\nsequence_length: 100\nsources:\n  a: {files: a.jsonl, max_epochs: 2}\n"
        "  b: {files: b.jsonl}\ngroups: {g: {a: 1, b: 1}}\nstages: [{name: s, tokens: 10K, mixture: {g: 1}}]\n"
        "training: {batch_tokens: 1K, learning_rate: 1e-4}\n"
        "evaluation: {gain: {domains: [a]}, retention: {domains: [b]}}\n"
    )
    return path


def test_more_passes_than_allowed_are_refused(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    assert not make_plan(recipe, {"a": 2500, "b": 100_000}).refusals
    plan = make_plan(recipe, {"a": 2499, "b": 100_000})
    ((place, message),) = plan.refusals
    assert place == ("sources", "a", "max_epochs")
    assert "2.00 times (5K tokens of 2.499K)" in message


def test_many_passes_are_remarked_on(recipe_path: Path) -> None:
    remarks = make_plan(load_recipe(recipe_path), {"a": 10_000, "b": 500}).remarks
    assert [remark for remark in remarks if "'b' is gone through 10.0 times" in remark]


def test_an_empty_source_is_refused(recipe_path: Path) -> None:
    ((place, _),) = make_plan(load_recipe(recipe_path), {"a": 10_000, "b": 0}).refusals
    assert place == ("sources", "b")
