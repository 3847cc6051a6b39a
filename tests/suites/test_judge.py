"""Answers in texts, and whether they are right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.recipe.task import Equal, Take
from sapwood.suites.judge import is_equal
from sapwood.suites.task_item import take_answer


@pytest.mark.parametrize(
    ("way", "text", "answer"),
    [
        ("number", "He has 3 apples, then 1,234.50 of them.", "1,234.50"),
        ("number", "It costs $18, or -3/4 of it.", "-3/4"),
        ("number", "nothing", None),
        ("hashes", "7 * 2 = 14\n#### 14 apples\nQuestion", "14 apples"),
        ("hashes", "#### yes", "yes"),
        ("hashes", "14", None),
        ("boxed", r"so $\boxed{\frac{1}{2}}$ and not \boxed{3", r"\frac{1}{2}"),
        ("boxed", r"first \boxed{1}, then \fbox {\{1, 2\}}.", r"\{1, 2\}"),
        ("boxed", "boxed{1}", None),
        ("letter", "A car is fast. The answer is (C).", "C"),
        ("letter", "B", "B"),
        ("letter", "故选：D。", "D"),
        ("letter", "答案是B", "B"),
        ("line", "\n  \nfirst\nsecond", "first"),
        ("all", " all of it\n", "all of it"),
        ("all", " \n", None),
    ],
)
def test_an_answer_is_taken_from_a_text(way: Take, text: str, answer: str | None) -> None:
    assert take_answer(text, [way]) == answer


def test_the_first_way_that_finds_something_counts() -> None:
    assert take_answer(r"5 and \boxed{6}", ["boxed", "number"]) == "6"
    assert take_answer("5 and 6", ["boxed", "number"]) == "6"
    assert take_answer("none", ["boxed", "number"]) is None


@pytest.mark.parametrize(
    ("way", "gold", "given", "equal"),
    [
        ("number", "18", "18.00", True),
        ("number", "1200", "$1,200", True),
        ("number", "18", "18.001", False),
        ("number", "43.0", "43", True),
        ("number", "8.6667", "8.67", True),
        ("number", "8.6667", "8.7", False),
        ("number", "0.75", "3/4", True),
        ("number", "5", "5/0", False),
        ("number", "5", "1e99999999999", False),
        ("number", "yes", "Yes.", True),
        ("number", "0", "0", True),
        ("number", "14", "14 apples", True),
        ("number", "14", "apples", False),
        ("number", "3:30", "3:30", True),
        ("number", "3:30", "30", False),
        ("number", "6th", "6th", True),
        ("text", "7 0 2", "７ 0  2", True),
        ("text", "red", "blue", False),
    ],
)
def test_answers_are_compared(way: Equal, gold: str, given: str, equal: bool) -> None:
    assert is_equal(way, gold, given) is equal


@given(st.integers(-(10**12), 10**12))
def test_integers_equal_themselves_and_no_neighbour(number: int) -> None:
    assert is_equal("number", str(number), f"{number:,}")
    assert not is_equal("number", str(number), str(number + 1))


@given(st.text())
def test_nothing_that_a_model_writes_breaks_the_comparison(text: str) -> None:
    for way in ("boxed", "hashes", "number", "letter", "line", "all"):
        take_answer(text, [way])  # type: ignore[list-item]
    assert is_equal("text", text, text)
    is_equal("number", "3", text)


@pytest.mark.parametrize(
    ("gold", "given", "equal"),
    [(r"\frac{1}{2}", "0.5", True), (r"x^2-1", r"(x-1)(x+1)", True), (r"[2,5)", r"(2,5)", False), ("12", "13", False)],
)
def test_formulas_are_compared_by_what_they_mean(gold: str, given: str, equal: bool) -> None:
    pytest.importorskip("math_verify")
    assert is_equal("formula", gold, given) is equal
