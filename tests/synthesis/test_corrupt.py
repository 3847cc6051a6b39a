from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.recipe.data import Corruption
from sapwood.synthesis.corrupt import Alteration, corrupt
from sapwood.synthesis.item import Item
from verify_fake import item

pytestmark = pytest.mark.slow

SOLVED = (
    "Step 1: the high speed of the car is 60 km/h.\n"
    "2. In 3 hours it covers a distance of 180 km, and the other car takes 3 h."
)
CELLS = "The nucleus of a large cell holds chromosomes. Cells of an animal are small, and 46 chromosomes are found."
CHINESE = "线粒体是细胞的重要结构，不透明。温度较高时，共有42个细胞。"


def english(number: int) -> Item:
    return item(f"How far, {number}?", "180 km", reasoning=SOLVED, id=f"{number:032x}")


def changed(items: Sequence[Item], seed: int = 0, **settings: object) -> list[tuple[Item, list[Alteration]]]:
    """Of those that were to be changed and could be: the item, and the changes."""
    return [(found, changes) for found, changes in corrupt(items, Corruption(**settings), seed) if changes]


def only(one: Item, *others: Item, **settings: object) -> tuple[Item, list[Alteration]]:
    """One item changed, beside others."""
    after, changes = corrupt([one, *others], Corruption(share=Fraction(1), **settings), 0)[0]
    assert changes
    return after, changes


@given(st.integers(0, 60), st.fractions(0, 1), st.integers(0, 5))
def test_the_share_is_exact_and_items_keep_their_order(count: int, share: Fraction, seed: int) -> None:
    items = [english(number) for number in range(count)]
    found = corrupt(items, Corruption(share=share), seed)
    assert [each.id for each, _ in found] == [each.id for each in items]
    assert sum(bool(changes) for _, changes in found) == int(share * count + Fraction(1, 2))
    for before, (after, changes) in zip(items, found, strict=True):
        assert (after == before) == (not changes)
        assert after.question == before.question


def test_a_larger_share_changes_the_same_items_in_the_same_way_and_more() -> None:
    items = [english(number) for number in range(200)]
    before: dict[str, object] = {}
    for share in (Fraction(1, 10), Fraction(3, 10), Fraction(7, 10), Fraction(1)):
        now: dict[str, object] = {each.id: (each, changes) for each, changes in changed(items, share=share)}
        assert {name: now.get(name) for name in before} == before
        assert len(now) == share * 200
        before = now
    some = {each.id for each, _ in changed(items, share=Fraction(3, 10))}
    assert some != {each.id for each, _ in changed(items, seed=1, share=Fraction(3, 10))}
    assert changed(items, share=Fraction(3, 10)) == changed(items, share=Fraction(3, 10))


def test_what_cannot_be_changed_makes_room_and_is_counted() -> None:
    bare = [item(f"Which city, {number}?", "Paris", reasoning="It is so.", id=f"{number:032x}") for number in range(50)]
    good = [english(number) for number in range(100, 150)]
    found = corrupt([*bare, *good], Corruption(share=Fraction(1, 2)), 0)
    assert all(changes for _, changes in found[50:])
    assert not any(changes for _, changes in found[:50])
    assert sum(changes is None for _, changes in found[:50]) > 30
    few = corrupt([*bare, *good], Corruption(share=Fraction(1, 10)), 0)
    assert sum(bool(changes) for _, changes in few) == 10
    assert 0 < sum(changes is None for _, changes in few) < 30
    none = corrupt(bare, Corruption(share=Fraction(1)), 0)
    assert [changes for _, changes in none] == [None] * 50


def test_the_answer_comes_first_and_all_places_are_changed_alike() -> None:
    after, changes = only(english(1), ways=["numbers"], changes=1)
    (change,) = changes
    assert (change.way, change.before, change.in_answer, change.in_reasoning) == ("numbers", "180", 1, 1)
    assert after.answer == f"{change.after} km"
    assert after.reasoning == SOLVED.replace("180", change.after)
    assert orjson.loads(orjson.dumps(changes))[0]["before"] == "180"


@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_no_more_changes_than_allowed_and_each_way_has_its_turn(most: int) -> None:
    _, changes = only(english(1), item(reasoning=CELLS), changes=most)
    things = {("numbers", "180"), ("numbers", "60"), ("numbers", "3"), ("nouns", "speed"), ("nouns", "distance")}
    assert {(change.way, change.before) for change in changes} <= {*things, ("adjectives", "high")}
    assert len(changes) == min(most, 6)
    assert changes[0].before == "180"
    if most == 3:
        assert len({change.way for change in changes}) >= 2


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,5}|[1-9][0-9]{0,2}(,[0-9]{3}){1,2})(\.[0-9]{1,4})?( ?%| km)?", fullmatch=True))
def test_numbers_become_others_of_their_form(answer: str) -> None:
    after, (change,) = only(item("How much?", answer), ways=["numbers"], changes=1)
    assert after.answer != answer
    assert re.sub(r"\d", "0", after.answer) == re.sub(r"\d", "0", answer)
    one, two = (float(number.replace(",", "")) for number in (change.before, change.after))
    assert one != two
    assert one == 0 or 0.1 < two / one < 10


@pytest.mark.parametrize(
    "text",
    ["Step 2", "步骤2", "第3步", "1. First this", "  (2) then that", "H2O", "x_1", "the 2nd", r"10^{n}", r"\frac12"],
)
def test_labels_and_names_are_no_numbers(text: str) -> None:
    settings = Corruption(share=Fraction(1), ways=["numbers"])
    assert corrupt([item("?", "so", reasoning=text)], settings, 0)[0][1] is None


def test_nouns_are_swapped_with_frequent_ones_of_the_same_form() -> None:
    one = item("?", "chromosomes", reasoning=CELLS)
    others = [item("?", "x", reasoning="The proton has a charge."), item("?", "y", reasoning="A Proton is heavy.")]
    after, changes = only(one, *others, ways=["nouns"], changes=9)
    assert {change.before for change in changes} == {"nucleus", "cell", "chromosome", "animal"}
    for change in changes:
        assert change.after in {"nucleus", "cell", "chromosome", "animal", "proton", "charge"} - {change.before}
    (chromosome,) = [change for change in changes if change.before == "chromosome"]
    assert (chromosome.in_answer, chromosome.in_reasoning) == (1, 2)
    assert after.answer.startswith(chromosome.after[:4])
    (cell,) = [change for change in changes if change.before == "cell"]
    assert re.search(rf"\. {cell.after[:4].capitalize()}", after.reasoning)
    assert after.reasoning.count("46") == 1


def test_adjectives_become_their_opposites() -> None:
    after, changes = only(item("?", "High pressure", reasoning=CELLS), ways=["adjectives"])
    assert after.answer == "Low pressure"
    swapped = {(change.before, change.after) for change in changes}
    assert swapped == {("high", "low"), ("large", "small"), ("small", "large")}
    assert "a small cell" in after.reasoning
    assert "are large" in after.reasoning  # both at once, and not one after the other


def test_chinese() -> None:
    one = item("？", "线粒体", reasoning=CHINESE, language="zh")
    after, changes = only(one, ways=["adjectives"], changes=9)
    assert after.reasoning == "线粒体是细胞的不重要结构，透明。温度较低时，共有42个细胞。"
    after, changes = only(one, ways=["numbers", "nouns"], changes=9)
    assert {change.before for change in changes} == {"线粒体", "细胞", "温度", "42"}
    assert after.answer in ("细胞", "温度")
    assert "42" not in after.reasoning


def test_languages_do_not_lend_each_other_nouns() -> None:
    after, changes = only(english(1), item("？", "线粒体", reasoning=CHINESE, language="zh"), ways=["nouns"])
    assert all(change.after.isascii() for change in changes)
    assert after.reasoning.isascii()
    german = item("?", "5 Meter", reasoning="The cell is large.", language="de")
    after, changes = only(german)
    assert [change.way for change in changes] == ["numbers"]
    assert after.reasoning == german.reasoning


def test_multiple_choice_gets_another_letter() -> None:
    reasoning = "A cell is no organ. Option B is right; the answer is (B), since vitamin B is no organ."
    which = item("Which?", "B", choices=("one", "two", "three"), reasoning=reasoning)
    after, changes = only(which, changes=1)
    assert [(change.way, change.before) for change in changes] == [("choice", "B")]
    assert after.answer in ("A", "C")
    expected = reasoning.replace("Option B", f"Option {after.answer}").replace("(B)", f"({after.answer})")
    assert after.reasoning == expected
    assert after.choices == which.choices


def test_programs_lose_only_their_numbers() -> None:
    program = "def large(cell):\n    return cell[0] + 10 * range(3)  # small"
    code = item("Write it.", program, tests="assert large([1]) == 1")
    after, changes = only(code, changes=9)
    assert {change.way for change in changes} == {"numbers"}
    assert re.sub(r"\d", "0", after.answer) == re.sub(r"\d", "0", program)
    assert after.tests == code.tests
    assert corrupt([code], Corruption(share=Fraction(1), ways=["nouns"]), 0)[0][1] is None
