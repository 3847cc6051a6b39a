"""Deciding rounds from losses, without a model: what a whole run of decisions keeps to."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.mixture.domains import Sizes
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.measured import Losses, Measured, improvement
from sapwood.mixture.plan import make_plan
from sapwood.mixture.rounds import is_over, next_round
from sapwood.mixture.weights import source_of
from sapwood.recipe import Recipe, load_recipe
from sapwood.recipe.check import is_measured

RECIPE = """
name: r
model: m/m
sequence_length: 100
sources:
  web: {tokens: 1M, topics: syne-en}
  book: {tokens: 1M, max_epochs: 0.1}
  old: {tokens: 1M}
groups: {new: {web: 70, book: 30}, old: {old: 1}}
corpus: {perplexity: {sources: [new]}}
stages:
  - {name: one, tokens: 300K, mixture: {new: 8, old: 2}, order: {web: {by: perplexity}}, CONTROLS}
  - {name: two, tokens: 100K, mixture: {new: 1, old: 1}, sequence_length: 200}
training: {batch_tokens: 2K, learning_rate: 1e-4}
evaluation: {gain: {domains: [new]}, retention: {domains: [old], margin: 0.01}}
"""
SIZES = Sizes({"web": 10**6, "book": 10**6, "old": 10**6}, {"web": {"Law": 300_000, "Art": 200_000, "Sea": 500_000}})
NAMES = ["web/Law", "web/Art", "web/Sea", "web", "book", "old", "new"]
KINDS = [
    "controller: {kind: perplexity-change, over: topics, every: 9K, noise: 0, floor: 5%, cap: 60%}",
    "controller: {kind: excess-loss, over: sources, every: 25K, strength: 5, step: 2%}",
    "controller: {kind: excess-loss, over: groups, every: 25K, noise: 0}",
    "controller: {kind: learnability, over: topics, every: 25K, noise: 0}",
    "controller: {every: 25K}, replay: {groups: [old], least: 5%, most: 40%}",
]


def recipe_of(directory: Path, controls: str) -> Recipe:
    path = directory / "r.yaml"
    path.write_text(RECIPE.replace("CONTROLS", controls))
    return load_recipe(path)


def wandering(seed: int) -> Callable[[int], Losses]:
    """Losses that wander by chance, the same for the same place of the same seed."""

    def losses(place: int) -> Losses:
        chance = random.Random(f"{seed}/{place}")
        return {
            name: Measured(
                bits_per_byte=chance.uniform(0.8, 1.2),
                standard_error=0.01,
                nats_per_token=chance.uniform(2, 3),
                since_last=improvement(-chance.gauss(0, 0.02), 0.005) if place else None,
                since_base=improvement(-chance.gauss(0, 0.02), 0.005),
            )
            for name in NAMES
        }

    return losses


def decide(recipe: Recipe, path: Path, losses: Callable[[int], Losses], *, reopen: bool = False) -> Ledger:
    """All rounds of a run; with `reopen`, the ledger is read anew before each."""
    plan, ledger = make_plan(recipe, SIZES), Ledger(path)
    while (entry := next_round(recipe, plan, ledger, losses(ledger.decided))) is not None:
        ledger.append(entry)
        ledger = Ledger(path) if reopen else ledger
    assert is_over(plan, ledger)
    return ledger


@pytest.mark.parametrize("controls", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_every_run_of_decisions_keeps_to(tmp_path: Path, controls: str, seed: int) -> None:
    recipe = recipe_of(tmp_path, controls)
    plan = make_plan(recipe, SIZES)
    ledger = decide(recipe, tmp_path / "ledger.jsonl", wandering(seed))
    assert ledger.tokens_until(ledger.decided) == plan.tokens == 400_000
    assert len({str(entry.mixture.weights) for entry in ledger.rounds}) > 2, "something moved"
    exact: dict[str, Fraction] = {}
    for before, entry in zip([None, *ledger.rounds], ledger.rounds, strict=False):
        weights = entry.mixture.weights
        assert sum(weights.values()) == 1
        assert min(weights.values()) > 0
        assert all(reason[-1] in ".:" for reason in entry.reasons)
        assert entry.reasons
        if before is None or before.stage != entry.stage:
            exact = {}
        for domain, weight in weights.items():
            exact[domain] = exact.get(domain, Fraction(0)) + weight * entry.sequences
        spent = entry.consumed_until(entry.stop)
        begun = ledger.of_stage(entry.stage)[0].first
        for domain, share in exact.items():
            got = (spent[domain] - begun.get(domain, 0)) / entry.sequence_length
            assert abs(got - share) < 2, "the stage is exact, and not each round by itself"
    assert ledger.consumed_until(ledger.decided)["book"] <= 100_000, "at most a tenth of an epoch"
    assert {source_of(domain) for domain in ledger.rounds[0].orders} == {"web"}
    assert ledger.rounds[-1].orders == {}


@pytest.mark.parametrize("controls", KINDS)
def test_a_run_that_is_opened_again_decides_the_same(tmp_path: Path, controls: str) -> None:
    recipe = recipe_of(tmp_path, controls)
    once = decide(recipe, tmp_path / "once.jsonl", wandering(3))
    again = decide(recipe, tmp_path / "again.jsonl", wandering(3), reopen=True)
    assert [entry.to_json() for entry in again.rounds] == [entry.to_json() for entry in once.rounds]


def test_floors_and_caps_hold(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, KINDS[0])
    for entry in decide(recipe, tmp_path / "ledger.jsonl", wandering(5)).of_stage("one"):
        web = {name: weight for name, weight in entry.mixture.weights.items() if name.startswith("web/")}
        shares = [weight / sum(web.values()) for weight in web.values()]
        assert min(shares) >= Fraction(5, 100)
        assert max(shares) <= Fraction(60, 100)


def test_a_static_stage_says_what_it_would_have_been(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, KINDS[2])
    for entry in decide(recipe, tmp_path / "ledger.jsonl", wandering(1)).of_stage("one"):
        assert sum(entry.static.values()) == entry.stop
        assert abs(entry.static["old"] - 0.2 * entry.stop) <= 1


def test_a_gate_ends_a_stage_and_the_next_one_follows(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "controller: {every: 25K}, gate: {retention: 0.05}")

    def losses(place: int) -> Losses:
        worse = improvement(-0.01 if place < 1000 else -0.2, 0.01)
        return {
            name: Measured(bits_per_byte=1, standard_error=0.01, nats_per_token=2, since_base=worse) for name in NAMES
        }

    ledger = decide(recipe, tmp_path / "ledger.jsonl", losses)
    assert len(ledger.of_stage("one")) == 4
    assert "Retention is broken: old" in ledger.ended["one"]
    (last,) = ledger.of_stage("two")
    assert last.sequences == 500
    assert last.reasons[0].startswith("Stage 'one' ended early: Retention is broken")


def test_a_stage_needs_its_losses(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, KINDS[-1])
    plan, ledger = make_plan(recipe, SIZES), Ledger(tmp_path / "ledger.jsonl")
    assert is_measured(recipe)
    first = next_round(recipe, plan, ledger, {})
    assert first is not None
    ledger.append(first)
    with pytest.raises(SapwoodError, match="The stage 'one' looks at the losses of 'old', and none was given"):
        next_round(recipe, plan, ledger, {})
