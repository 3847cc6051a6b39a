from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import OptionPermutation
from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.option_permutation import OptionPermutationStage, orders
from verify_fake import answered, asking, item, never, options_of, serving

SERVER = ModelServer(url="http://localhost:1/v1", model="m")
OPTIONS = ("the heart", "the liver", "a lung", "the kidney")
WHICH = item("Which organ pumps blood?", "A", choices=OPTIONS)


def knows(prompt: str, _: int) -> str:
    letters = {option: letter for letter, option in options_of(prompt).items()}
    return answered(letters["the heart"])


def test_whoever_knows_passes_in_all_orders(tmp_path: Path) -> None:
    with serving(knows) as (server, asked):
        (found,) = OptionPermutationStage(OptionPermutation(), server).check([WHICH], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert (found.passed, found.score, found.detail["majority"]) == (True, 1.0, "A")
    assert found.prompt_tokens == 33
    assert len(asked) == 3  # three prompts, of three orders


def test_whoever_likes_a_letter_is_found_out(tmp_path: Path) -> None:
    with serving(lambda *_: answered("B")) as (server, _):
        (found,) = OptionPermutationStage(OptionPermutation(permutations=4), server).check([WHICH], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert (found.passed, found.score, found.reason) == (False, 0.25, "the choice changes with the order")
    assert {row["answer"] for row in found.detail["answers"]} == set("ABCD")


def test_another_option(tmp_path: Path) -> None:
    wrong = item("Which organ pumps blood?", "B", choices=OPTIONS)
    with serving(knows) as (server, _):
        (found,) = OptionPermutationStage(OptionPermutation(), server).check([wrong], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert (found.passed, found.score, found.reason) == (False, 0.0, "another option is chosen")
    assert found.detail["majority"] == "A"


def test_a_lower_agreement(tmp_path: Path) -> None:
    def mostly(prompt: str, before: int) -> str:
        return answered("A") if options_of(prompt)["A"] == "the liver" else knows(prompt, before)

    with serving(mostly) as (server, _):
        stage = OptionPermutationStage(OptionPermutation(permutations=4, agreement=Fraction(3, 4)), server)
        (found,) = stage.check([WHICH], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert (found.passed, found.score) == (True, 0.75)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("{letter}", True),
        ("({letter})", True),
        ("**{letter}**", True),
        ("{letter}. the heart", True),
        ("{letter} the heart", True),
        ("Option {letter}", True),
        ("选项{letter}", True),
        ("The heart.", True),
        ("{letter} and more", False),
        ("I do not know", False),
        ("Z", False),
    ],
)
def test_how_a_choice_may_be_written(tmp_path: Path, said: str, right: bool) -> None:
    def say(prompt: str, _: int) -> str:
        letters = {option: letter for letter, option in options_of(prompt).items()}
        return answered(said.format(letter=letters["the heart"]))

    with serving(say) as (server, _):
        (found,) = OptionPermutationStage(OptionPermutation(), server).check([WHICH], asking(tmp_path))
    assert isinstance(found, Verdict)
    assert found.passed == right
    assert found.detail["unreadable"] == (0 if right else 3)


def test_it_has_nothing_to_say_of_other_items() -> None:
    others = [item(), item("Which?", "the heart", choices=OPTIONS), item("Which?", "E", choices=OPTIONS)]
    assert OptionPermutationStage(OptionPermutation(), SERVER).check(others, never) == [None, None, None]


def test_failures(tmp_path: Path) -> None:
    with serving(lambda *_: 400) as (server, _):
        # Of three refusals it gives the server up.
        (found,) = OptionPermutationStage(OptionPermutation(permutations=2), server).check([WHICH], asking(tmp_path))
    assert isinstance(found, Failure)


@given(st.integers(2, 8), st.integers(1, 20), st.text(min_size=1, max_size=8))
def test_orders(count: int, samples: int, name: str) -> None:
    which = item("Which?", "A", choices=tuple(f"option {number}" for number in range(count)), id=name)
    found = orders(which, samples)
    assert len(found) == samples
    assert found == orders(which, samples)
    assert found == orders(which, samples + 3)[:samples]
    assert all(sorted(order) == list(range(count)) for order in found)
    # Every option stands at every letter equally often, as far as the number of orders allows it.
    for option in range(count):
        places = Counter(order.index(option) for order in found)
        assert max(places.values()) <= -(-samples // count)


def test_different_items_are_shuffled_differently() -> None:
    found = {orders(item("Which?", "A", choices=OPTIONS, id=str(number)), 1)[0] for number in range(100)}
    assert len(found) > 15


def test_options_that_name_others_stay_where_they_are() -> None:
    last = item("Which?", "D", choices=("one", "two", "three", "All of the above"))
    assert {order[3] for order in orders(last, 6)} == {3}
    assert len({order[:3] for order in orders(last, 6)}) >= 3
    chinese = item("哪个？", "D", choices=("一", "二", "三", "以上都不对"))
    assert {order[3] for order in orders(chinese, 6)} == {3}
    named = item("Which?", "C", choices=("one", "two", "Both A and B", "three"))
    assert set(orders(named, 6)) == {(0, 1, 2, 3)}
