from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import Entailment, Sampling
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.entailment import EntailmentStage, quoted_share
from verify_fake import asking, in_turn, item, judged, never, serving

PAGE = (
    "The sapwood carries water from the roots to the crown. As a tree ages, its inner rings stop working and become "
    "heartwood, which is darker, harder and more resistant to decay. In most oaks the sapwood is 2 to 3 cm wide."
)
QUOTE = "its inner rings stop working and become heartwood"


def asked(evidence: str = QUOTE, **fields: Any) -> Item:
    return item("What do the inner rings become?", "heartwood", snippet=PAGE, evidence=evidence, **fields)


def check(items: list[Item], say: list[str | int], directory: Path, **settings: Any) -> list[object]:
    with serving(in_turn({"": say})) as (server, _):
        return list(EntailmentStage(Entailment(server=server, **settings)).check(items, asking(directory)))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("yes", ""),
        ("Yes.", ""),
        ("**yes** - it says so", ""),
        ("no", "does not follow"),
        ("unclear", "cannot be told from the page"),
        ("nothing of the kind", "the judge is not understood"),
        ("yesterday", "the judge is not understood"),
    ],
)
def test_the_word_of_the_judge_counts(tmp_path: Path, said: str, reason: str) -> None:
    (found,) = check([asked()], [judged(said)], tmp_path)
    assert isinstance(found, Verdict)
    assert (found.passed, found.reason, found.score) == (not reason, reason, 0.0 if reason else 1.0)
    assert found.detail["reasons"] == ["Because."]


@pytest.mark.parametrize(("said", "passed"), [("是", True), ("是。", True), ("否", False), ("不确定", False)])
def test_in_chinese(tmp_path: Path, said: str, passed: bool) -> None:
    page = "边材把水分从根部输送到树冠。"
    chinese = item("边材有什么作用？", "输送水分", language="zh", snippet=page, evidence="边材把水分从根部输送到树冠")
    (found,) = check([chinese], [f"[理由]\n因为。\n[结论]\n{said}"], tmp_path)
    assert isinstance(found, Verdict)
    assert found.passed == passed


def test_evidence_that_is_not_there_costs_nothing() -> None:
    made_up = asked("the outer rings are lighter than the wood of any other tree in the world")
    (found,) = EntailmentStage(Entailment(server=ModelServer(url="http://localhost:1/v1", model="m"))).check(
        [made_up], never
    )
    assert isinstance(found, Verdict)
    assert (found.passed, found.reason, found.prompt_tokens) == (False, "evidence not in the page", 0)
    assert found.detail["quoted_share"] < 0.5


def test_items_that_quote_nothing_were_only_inspired_by_their_page() -> None:
    stage = EntailmentStage(Entailment(server=ModelServer(url="http://localhost:1/v1", model="m")))
    assert stage.check([item(snippet=PAGE), item(evidence=QUOTE), item()], never) == [None, None, None]


def test_what_the_judge_is_shown(tmp_path: Path) -> None:
    which = asked(choices=("sapwood", "heartwood", "bark"))
    which = Item.from_json({**which.to_json(), "answer": "B", "reasoning": "HIDDEN"})
    with serving(in_turn({"": [judged("yes")]})) as (server, prompts):
        EntailmentStage(Entailment(server=server)).check([which], asking(tmp_path))
    (prompt,) = prompts
    assert PAGE in prompt
    assert "<answer>\nheartwood\n</answer>" in prompt
    assert "HIDDEN" not in prompt


def test_several_judgements(tmp_path: Path) -> None:
    words = [judged("yes"), judged("no"), judged("yes"), judged("unclear"), judged("no")]
    settings = {"samples": 5, "sampling": Sampling(temperature=0.5)}
    (found,) = check([asked()], words, tmp_path, **settings)
    assert isinstance(found, Verdict)
    assert (found.score, found.reason) == (0.4, "does not follow")
    (found,) = check([asked()], words, tmp_path, agreement=Fraction(2, 5), **settings)
    assert isinstance(found, Verdict)
    assert found.passed


def test_failures_and_good_ones_side_by_side(tmp_path: Path) -> None:
    good, bad = asked(), item("Another?", "crown", snippet=PAGE, evidence="from the roots to the crown")
    with serving(in_turn({"inner rings become": [judged("yes")], "Another?": [400]})) as (server, _):
        found = EntailmentStage(Entailment(server=server)).check([good, item(), bad], asking(tmp_path))
    assert isinstance(found[0], Verdict)
    assert found[0].passed
    assert found[1] is None
    assert isinstance(found[2], Failure)


@pytest.mark.parametrize(
    ("evidence", "share"),
    [
        (QUOTE, 1.0),
        ("ITS INNER RINGS, stop working -- and become “heartwood”", 1.0),
        ("its inner rings stop growing and become heartwood", 7 / 8),
        ("The sapwood carries water ... the sapwood is 2 to 3 cm wide.", 1.0),
        ("…", 0.0),
        ("", 0.0),
    ],
)
def test_how_much_is_quoted(evidence: str, share: float) -> None:
    assert quoted_share(evidence, PAGE) == pytest.approx(share)


def test_words_must_stand_in_one_place() -> None:
    words = PAGE.split()
    scattered = " ".join(words[::4])
    assert quoted_share(scattered, PAGE) < 0.6
    assert quoted_share(PAGE, "") == 0


def edit_distance(pattern: list[int], text: list[int]) -> int:
    """To the nearest stretch of the text, the slow way."""
    row = [0] * (len(text) + 1)
    for number, token in enumerate(pattern, 1):
        new = [number]
        for place, other in enumerate(text, 1):
            new.append(min(row[place] + 1, new[-1] + 1, row[place - 1] + (token != other)))
        row = new
    return min(row)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.lists(st.integers(0, 3), max_size=20))
def test_the_distance_is_the_least(pattern: list[int], text: list[int]) -> None:
    words = ["zero", "one", "two", "three"]
    share = quoted_share(" ".join(words[token] for token in pattern), " ".join(words[token] for token in text))
    assert share == pytest.approx(1 - edit_distance(pattern, text) / len(pattern))


def test_a_page_holds_what_was_cut_from_it() -> None:
    chance = random.Random(1)
    words = PAGE.split()
    for _ in range(50):
        start = chance.randrange(len(words) - 5)
        assert quoted_share(" ".join(words[start : start + chance.randint(1, 20)]), PAGE) == 1
