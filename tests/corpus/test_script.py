from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.normalise import convert, normalise
from sapwood.recipe.data import Script

TRADITIONAL = [
    "里長請余先生吃飯，一群人在後面排隊。",
    "政府不應干預，秘書長說明了制度。",
    "于先生在床上睡著了。",
    "峰會在海邊舉行，漁民都來了。",
    "皇后的面子與瞭望台；千里之外，范先生只買了半斤麵。",
    "他説衞生局的同事裏，無人願意脱口而出。",
]
SIMPLIFIED = [
    ("他的头发很长，后面有人发言。", "他的頭髮很長，後面有人發言。"),
    ("坏人做坏事", "壞人做壞事"),
    ("我们假定它大于零。皇后在里面。", "我們假定它大於零。皇后在裏面。"),
    ("发布会上，秘书长干了一杯。", "發佈會上，祕書長幹了一杯。"),
    ("软件里的鼠标", "軟件裏的鼠標"),
]
SCRIPTS = get_args(Script)


@pytest.mark.parametrize("text", TRADITIONAL)
def test_traditional_text_stays(text: str) -> None:
    assert normalise(text, script="traditional") == text


@pytest.mark.parametrize(("text", "expected"), SIMPLIFIED)
def test_simplified_text_is_converted(text: str, expected: str) -> None:
    assert normalise(text, script="traditional") == expected


def test_standards_are_a_choice() -> None:
    text = "软件里的鼠标，一群人说话。"
    assert {script: convert(text, script) for script in SCRIPTS} == {
        "simplified": text,
        "traditional": "軟件裏的鼠標，一羣人說話。",
        "traditional-tw": "軟件裡的鼠標，一群人說話。",
        "traditional-twp": "軟體裡的滑鼠，一群人說話。",
        "traditional-hk": "軟件裏的鼠標，一羣人説話。",
    }
    assert convert("一羣人說話。", "traditional-tw") == "一群人說話。"


def test_every_sentence_is_judged_and_plain_ones_follow_the_text() -> None:
    quoted = "里長請余先生吃飯。"
    assert (
        convert("这是他说的话。" + quoted + "我们知道了。", "traditional") == "這是他說的話。" + quoted + "我們知道了。"
    )
    assert convert("这些话。皇后在里面。", "traditional") == "這些話。皇后在裏面。"
    assert convert("這些話。皇后在里面。", "traditional") == "這些話。皇后在里面。"


PIECES = st.lists(st.sampled_from([*TRADITIONAL, *(part for pair in SIMPLIFIED for part in pair), "\n", "abc. "]))


@given(PIECES, st.sampled_from(SCRIPTS))
def test_done_again_it_changes_nothing(pieces: list[str], script: Script) -> None:
    once = convert("".join(pieces), script)
    assert convert(once, script) == once
    assert convert("".join(pieces), "simplified") == convert(convert("".join(pieces), "simplified"), "simplified")
