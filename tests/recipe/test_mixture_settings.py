"""What a recipe may say about the mixture, and what it may not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.recipe import Recipe, RecipeError, differences, dump_recipe, load_recipe
from sapwood.recipe.check import members, order_of, split_by_topic
from sapwood.recipe.mixture import Order, Weighting

GOOD = """\
name: small
model: some/model
sequence_length: 128
sources:
  web-zh: {files: a.jsonl, language: zh, topics: syne-zh}
  book-zh: {files: b.jsonl, language: zh}
  web-en: {files: c.jsonl, topics: syne-en, max_epochs: 4}
groups:
  zh: {natural: [web-zh, book-zh]}
  en: {web-en: 1}
topics:
  web-en: uniform
corpus:
  perplexity: {sources: [zh]}
stages:
  - name: first
    tokens: 10M
    mixture: unimax
    groups: {zh: {web-zh: 3, book-zh: 1}}
    order: {zh: {by: perplexity, bins: 10, tails: {head: 1%}}, book-zh: {by: compression_ratio, first: 30%}}
    controller: {kind: perplexity-change, over: topics, every: 1M, strength: 0.2, importance: {Law: 2}}
    replay: {groups: [en], least: 10%, most: 50%}
    gate: {retention: 0.05}
  - name: second
    tokens: 5M
    mixture: {zh: 1, en: 1}
    sequence_length: 256
training:
  batch_tokens: 1K
  learning_rate: 1e-5
evaluation:
  gain: {domains: [zh]}
  retention: {domains: [en]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def recipe(path: Path) -> Recipe:
    return load_recipe(path)


def test_shares_are_stated_or_follow_a_rule(recipe: Recipe) -> None:
    assert recipe.groups["zh"] == Weighting(rule="natural", names=["web-zh", "book-zh"])
    assert members(recipe, "zh") == ["web-zh", "book-zh"]
    assert recipe.stages[0].mixture == Weighting(rule="unimax")
    assert recipe.stages[0].groups["zh"] == {"web-zh": Fraction(3), "book-zh": Fraction(1)}
    assert split_by_topic(recipe) == ["web-zh", "web-en"]


def test_a_source_has_its_own_order_or_that_of_its_group(recipe: Recipe) -> None:
    assert order_of(recipe.stages[0], recipe, "web-zh").by == "perplexity"
    assert order_of(recipe.stages[0], recipe, "book-zh").by == "compression_ratio"
    assert order_of(recipe.stages[0], recipe, "web-en") == Order()
    assert order_of(recipe.stages[1], recipe, "web-zh") == Order()


def test_it_reads_back_equal(path: Path, recipe: Recipe) -> None:
    resolved = path.with_name("resolved.yaml")
    resolved.write_text(dump_recipe(recipe))
    assert load_recipe(resolved) == recipe
    assert differences(load_recipe(resolved), recipe) == []
    changed = load_recipe(path, ["groups.zh={uniform: [web-zh, book-zh]}", "stages.first.gate.retention=0.1"])
    assert differences(recipe, changed)[-1] == "stages.0.gate.retention: 0.05 -> 0.1"
    assert differences(recipe, changed)[0] == "groups.zh.natural.0: web-zh -> absent"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{natural: [web-zh, book-zh]}", "natural", "9: groups.zh: which sources? Write them"),
        (
            "{natural: [web-zh, book-zh]}",
            "{naturel: [web-zh]}",
            "9: groups.zh: found 'naturel': should be 'natural', 'uniform'",
        ),
        ("{natural: [web-zh, book-zh]}", "{natural: [web-cn, book-zh]}", "9: groups.zh"),
        ("{web-en: 1}", "{web-en: x}", "10: groups.en.web-en: found 'x': expected a share"),
        ("  web-en: uniform", "  book-zh: uniform", "12: topics.book-zh: the source 'book-zh' has no taxonomy"),
        ("mixture: unimax", "mixture: unimx", "18: stages.0.mixture: found 'unimx'"),
        ("order: {zh:", "order: {cn:", "20: stages.0.order.cn: there is no group or source 'cn'"),
        ("  perplexity: {sources: [zh]}", "  quality: []", "stages.0.order.zh: nothing scores 'web-zh'; write `corpus"),
        ("by: perplexity, bins: 10", "by: shuffle, bins: 10", "stages.0.order.zh: a shuffle has no direction"),
        ("head: 1%", "head: 99%, tail: 1%", "stages.0.order.zh.tails: head and tail together"),
        ("first: 30%", "first: 3", "stages.0.order.book-zh.first: 3 is more than all documents"),
        ("every: 1M, ", "", "21: stages.0.controller.kind: needs rounds after which to look"),
        ("every: 1M", "every: 30min", "21: stages.0.controller.every: a round has a length in tokens or steps"),
        ("importance: {Law: 2}", "targets: {zh: 1}", "stages.0.controller.targets: is for excess-loss"),
        ("over: topics", "over: groups", "22: stages.0.replay: the controller moves the groups already"),
        ("strength: 0.2", "floor: 20%, cap: 10%", "stages.0.controller.floor: 0.2 is more than 'cap'"),
        ("strength: 0.2", "step: 0", "stages.0.controller.step"),
        (
            "least: 10%, most: 50%",
            "least: 60%, most: 50%",
            "22: stages.0.replay: 'least' is 0.6, and 'most' is less, 0.5",
        ),
        ("least: 10%, most: 50%", "least: 10%, most: 120%", "22: stages.0.replay: 'least' and 'most' are shares"),
        ("groups: [en], least", "groups: [eng], least", "stages.0.replay.groups.eng: there is no group 'eng'"),
        ("gate: {retention: 0.05}", "gate: {}", "23: stages.0.gate: asks for nothing"),
        ("sequence_length: 256", "sequence_length: 2560", "stages.1.sequence_length: 2560 is more than training.batch"),
    ],
)
def test_mistakes_are_named_with_line_and_remedy(path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert expected in str(caught.value)
