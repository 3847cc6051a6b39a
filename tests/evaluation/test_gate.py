from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation, read_evaluation
from sapwood.recipe import Recipe, load_recipe

SOURCES = ("web-zh", "book-zh", "web-en", "news-en")


@pytest.fixture
def recipe(tiny_recipe: Callable[..., Path]) -> Recipe:
    return load_recipe(tiny_recipe())


def evaluation(label: str, levels: dict[str, float], spread: float = 0.01, **settings: object) -> Evaluation:
    """Sixteen documents a source with the given bits per byte; the same noise for every label."""
    rng = np.random.default_rng(7)
    domains = {}
    for source in SOURCES:
        noise = rng.normal(0, 0.3, size=16)
        own = np.random.default_rng(len(label)).normal(0, spread, size=16)
        bits = (levels[source] + noise + own) * 500
        domains[source] = DomainScore(
            tuple(DocumentScore(f"{source}{i}", 500, 100, float(b * np.log(2))) for i, b in enumerate(bits))
        )
    return Evaluation(label=label, model=label, tokens=0, settings=dict(settings), domains=domains)


BEFORE = {"web-zh": 2.0, "book-zh": 1.8, "web-en": 1.0, "news-en": 1.1}


def verdicts(recipe: Recipe, after: dict[str, float], spread: float = 0.01) -> dict[str, str]:
    changes = judge(recipe, evaluation("base", BEFORE), evaluation("model", BEFORE | after, spread))
    return {change.name: str(change.verdict) for change in changes}


def test_verdicts_follow_the_intervals(recipe: Recipe) -> None:
    assert verdicts(recipe, {"web-zh": 1.6, "book-zh": 1.5}) == {"zh": "gained", "en": "kept", "news-en": "kept"}
    assert verdicts(recipe, {"web-en": 1.2, "news-en": 0.9}) == {
        "zh": "no gain shown",
        "en": "lost",
        "news-en": "improved",
    }
    assert verdicts(recipe, {"web-zh": 2.4, "book-zh": 2.2})["zh"] == "worse"


def test_a_noisy_measurement_keeps_nothing(recipe: Recipe) -> None:
    assert verdicts(recipe, {}, spread=0.5)["en"] == "loss not excluded"


def test_a_group_is_the_mean_of_its_sources(recipe: Recipe) -> None:
    change = judge(recipe, evaluation("base", BEFORE), evaluation("model", BEFORE | {"web-zh": 1.6}))[0]
    assert change.n == 32
    assert (change.before, change.after) == (pytest.approx(1.9, abs=0.2), pytest.approx(1.7, abs=0.2))
    assert change.value == pytest.approx(0.2, abs=0.02), "fewer bits per byte are better"
    assert change.before - change.after == pytest.approx(change.value)


def test_what_was_measured_differently_is_not_compared(recipe: Recipe) -> None:
    with pytest.raises(SapwoodError, match="they differ in window"):
        judge(recipe, evaluation("base", BEFORE, window=64), evaluation("model", BEFORE, window=128))
    other = evaluation("model", BEFORE)
    other.domains["web-en"] = DomainScore(other.domains["web-en"].documents[1:])
    with pytest.raises(SapwoodError, match="different documents"):
        judge(recipe, evaluation("base", BEFORE), other)


def test_evaluations_are_kept_whole(tmp_path: Path) -> None:
    written = evaluation("base", BEFORE, window=64)
    written.write(tmp_path)
    assert read_evaluation(tmp_path / "base.json") == written
    with pytest.raises(SapwoodError, match="no evaluation"):
        read_evaluation(tmp_path / "model.json")
