from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.mixture.domains import Sizes
from sapwood.mixture.plan import make_plan
from sapwood.recipe import load_recipe
from sapwood.recipe.schema import LearningRate
from sapwood.training.schedule import learning_rate, rate

PAPER = Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml"


def test_the_papers_schedule() -> None:
    recipe = load_recipe(PAPER)
    plan = make_plan(recipe, Sizes({}, {}))
    assert learning_rate(recipe, plan, "bilingual-adaptation", 0) == pytest.approx(1e-7)
    assert learning_rate(recipe, plan, "bilingual-adaptation", 5e9) == pytest.approx((1e-7 + 1e-5) / 2)
    assert learning_rate(recipe, plan, "bilingual-adaptation", 10e9) == pytest.approx(1e-5)
    assert learning_rate(recipe, plan, "synthetic-enhancement", 0.1e9) == pytest.approx(1e-5)
    assert learning_rate(recipe, plan, "synthetic-enhancement", 7.5e9) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("then", "at_half", "at_end"), [("constant", 1.0, 1.0), ("linear", 0.6, 0.2), ("cosine", 0.6, 0.2)]
)
def test_shapes(then: str, at_half: float, at_end: float) -> None:
    schedule = LearningRate.model_validate({"peak": 1.0, "end": 0.2, "then": then})
    assert rate(schedule, 500, 1000, 1) == pytest.approx(at_half)
    assert rate(schedule, 1000, 1000, 1) == pytest.approx(at_end)


def test_warmup_stable_decay() -> None:
    schedule = LearningRate.model_validate({"peak": 1.0, "warmup": "2 steps", "then": "stable-decay", "decay": "25%"})
    values = [rate(schedule, tokens, 1000, 50) for tokens in (0, 50, 100, 750, 875, 1000)]
    assert values == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_a_stage_of_its_own_and_what_follows_it(tiny_recipe: Callable[..., Path]) -> None:
    stages = [
        {
            "name": "a",
            "tokens": 6400,
            "mixture": {"zh": 1},
            "learning_rate": {"peak": 1.0, "end": 0.5, "then": "linear"},
        },
        {"name": "b", "tokens": 6400, "mixture": {"zh": 1}},
        {"name": "c", "tokens": 6400, "mixture": {"zh": 1}, "learning_rate": 0.25},
    ]
    path = tiny_recipe(stages=stages, training={"batch_tokens": 640}, sources=None, groups=None)
    text = path.read_text()
    assert "null" in text
    recipe = load_recipe(
        path,
        [
            "sources={web-zh: {tokens: 1M}, news-en: {tokens: 1K}}",
            "groups={zh: {web-zh: 1}}",
            "evaluation.retention.domains=[news-en]",
        ],
    )
    plan = make_plan(recipe, Sizes({}, {}))
    places = [("a", 0), ("a", 3200), ("a", 6400), ("b", 0), ("b", 3200), ("c", 0), ("c", 6400)]
    rates = [learning_rate(recipe, plan, stage, tokens) for stage, tokens in places]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.5, 0.5, 0.25, 0.25])
