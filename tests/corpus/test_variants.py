from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opencc import OpenCC

from sapwood.corpus.ngrams import tokenise

CONVERTERS = {name: OpenCC(name) for name in ("s2t", "t2s", "s2tw", "s2hk", "tw2s")}
COMMON = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=40)


def hashes(text: str) -> list[int]:
    return tokenise(text, variants=True).hashes.tolist()


@pytest.mark.parametrize("name", list(CONVERTERS))
@settings(max_examples=60, deadline=None)
@given(text=COMMON)
def test_no_conversion_leaves_the_class(name: str, text: str) -> None:
    assert hashes(CONVERTERS[name].convert(text)) == hashes(text)


@pytest.mark.parametrize(
    "text",
    [
        "把公式应用于单元格，坐标轴与想象的一样",
        "皇后后面跟着许多干部，头发很长，发现干燥的里程",
        "面条和表面，复杂的恢复，台风吹过台湾的柜台，准确地批准",
        "藉口與慰藉、瞭解、沈沒、鍊條、覆蓋",
    ],
)
def test_words_that_conversion_there_and_back_changes(text: str) -> None:
    for converter in CONVERTERS.values():
        assert hashes(converter.convert(text)) == hashes(text)


def test_other_characters_stay_apart() -> None:
    assert hashes("年轮") != hashes("树木")
    assert hashes("⻅") == hashes("見")
    assert tokenise("头发").hashes.tolist() != tokenise("頭髮").hashes.tolist()
