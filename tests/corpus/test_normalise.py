from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.block import START, Reason, filter_out, is_filtered, new_document
from sapwood.corpus.normalise import NormaliseText, normalise
from sapwood.recipe.data import Normalise

ODD = st.text(
    st.sampled_from("ae\u0301\u00e9\r\n\t \x00\x85\u2028\u200b\ufeff\u00ad\u200d树年한\u1112\u1161\u11ab"), max_size=30
)
TEXTS = st.one_of(ODD, st.text(max_size=60))


@given(TEXTS)
def test_done_again_it_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(TEXTS)
def test_what_is_left_is_composed_and_visible(text: str) -> None:
    found = normalise(text)
    assert unicodedata.is_normalized("NFC", found)
    controls = {character for character in found if unicodedata.category(character) == "Cc"}
    assert controls <= {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\nd\x85e\u2028f\x0cg", "a\nb\nc\nd\ne\nf\ng"),
        ("a\r\u200b\nb", "a\nb"),
        ("nul\x00, escape \x1b[0m, BOM \ufeff", "nul, escape [0m, BOM "),
        ("soft\u00adhyphen", "softhyphen"),
        ("trailing  \n\tindented", "trailing  \n\tindented"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("ＡＢＣ，全角「引号」", "ＡＢＣ，全角「引号」"),
    ],
)
def test_single_repairs(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_mojibake_is_repaired_line_by_line() -> None:
    assert (
        normalise("naïve café\n" + "schÃ¶n\n“quoted” — text…", mojibake=True) == "naïve café\nschön\n“quoted” — text…"
    )
    assert normalise("schÃ¶n") == "schÃ¶n"


@pytest.mark.parametrize(
    "text", ["年轮记录了气候。", "「引用」——破折号……", "Ångström, façade, Größe", "日本語の文章です。", "한국어 문장"]
)
def test_sound_text_is_not_repaired(text: str) -> None:
    assert normalise(text, mojibake=True) == text


def test_scripts_are_converted_where_asked() -> None:
    assert normalise("漢字轉換", script="simplified") == "汉字转换"
    assert normalise("汉字转换", script="traditional") == "漢字轉換"
    assert normalise("漢字轉換") == "漢字轉換"


def test_the_block_converts_chinese_sources_alone() -> None:
    for language, expected in (("zh", "汉字"), ("ja", "漢字"), (None, "漢字")):
        block = NormaliseText(Normalise(script="simplified"), language)
        (document,) = block.run([new_document("漢字\x00", "f#0", START)])
        assert document.text == expected


def test_empty_texts_are_set_aside_and_others_left_alone() -> None:
    empty, earlier = new_document("\x00 \u200b\r\n", "f#0", START), new_document("\x00", "f#1", START)
    filter_out(earlier, "an earlier reason")
    found = list(NormaliseText(Normalise(), None).run([empty, earlier]))
    assert [document.metadata["reason"] for document in found] == [Reason.EMPTY, "an earlier reason"]
    assert found[1].text == "\x00"
    assert is_filtered(found[0])
