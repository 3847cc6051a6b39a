from __future__ import annotations

from dataclasses import replace

import pytest

from sapwood.errors import SapwoodError
from sapwood.recipe.data import Assembly
from sapwood.synthesis.attempts import assemble
from sapwood.synthesis.item import Item

ITEM = Item(
    id="0" * 32,
    question="What is 2 + 3?",
    reasoning="Two and three make five.",
    answer="5",
    discipline="mathematics",
    format="short-answer",
    language="en",
    snippet="Numbers can be added.",
)


def test_the_parts_stand_one_after_the_other() -> None:
    assert assemble(ITEM, Assembly()) == "What is 2 + 3?\n\nTwo and three make five.\n\nAnswer: 5"


def test_an_answer_with_which_the_reasoning_ends_is_not_repeated() -> None:
    item = replace(ITEM, reasoning="Two and three make 5.")
    assert assemble(item, Assembly(joiner="\n")) == "What is 2 + 3?\nTwo and three make 5."


def test_chinese_items_have_a_chinese_word_for_the_answer() -> None:
    assert assemble(replace(ITEM, language="zh"), Assembly()).endswith("答案：5")


def test_options_stand_below_the_question() -> None:
    item = replace(ITEM, choices=("4", "5"), answer="B", reasoning="")
    assert assemble(item, Assembly()) == "What is 2 + 3?\nA. 4\nB. 5\n\nAnswer: B"


def test_programs_stand_in_a_fence_and_tests_are_left_out() -> None:
    item = replace(ITEM, answer="print(5)", tests="assert True", reasoning="")
    assert assemble(item, Assembly()) == "What is 2 + 3?\n\n```python\nprint(5)\n```"


@pytest.mark.parametrize(("where", "place"), [("before", 0), ("after", -1)])
def test_the_snippet_may_stand_beside_it(where: str, place: int) -> None:
    parts = assemble(ITEM, Assembly.model_validate({"page": where})).split("\n\n")
    assert parts[place] == "Numbers can be added."


def test_a_template_of_ones_own() -> None:
    template = "{{ discipline }}: {{ question }}{{ joiner }}{{ answer }}"
    assert assemble(ITEM, Assembly(template=template, joiner=" | ")) == "mathematics: What is 2 + 3? | 5"
    with pytest.raises(SapwoodError, match="assembly"):
        assemble(ITEM, Assembly(template="{{ nothing }}"))
    with pytest.raises(SapwoodError, match="assembly"):
        assemble(ITEM, Assembly(template="{{ question.__class__.__mro__ }}"))
