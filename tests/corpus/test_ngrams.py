from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.ngrams import (
    is_unspaced,
    ngram_hashes,
    raw_ngram_hashes,
    tokenise,
    tokenise_with_signs,
)

TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=0x323AF, exclude_categories=["Cs"]), max_size=60),
    st.text(st.sampled_from("aB9_ ,年轮の。ＡＺé-\u0301\u200dかหนिकﬁ각"), max_size=40),
)


def words(text: str) -> list[str]:
    tokens = tokenise(text)
    return [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]


def words_and_signs(text: str) -> list[str]:
    tokens = tokenise_with_signs(text)
    return [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]


@given(TEXTS)
def test_tokens_are_apart_and_hold_all_letters(text: str) -> None:
    tokens = tokenise(text)
    assert (tokens.starts[1:] >= tokens.ends[:-1]).all()
    assert (tokens.ends > tokens.starts).all()
    inside = {place for start, end in zip(tokens.starts, tokens.ends, strict=True) for place in range(start, end)}
    letters = {place for place, character in enumerate(text) if character.isalpha() and ord(character) not in FILLERS}
    assert letters <= inside
    assert not any(text[place].isspace() for place in inside)


FILLERS = {0x640, 0x115F, 0x1160, 0x3164, 0xFFA0}


@given(TEXTS)
def test_composed_and_decomposed_texts_are_the_same(text: str) -> None:
    whole = tokenise(text).hashes.tolist()
    assert tokenise(unicodedata.normalize("NFC", text)).hashes.tolist() == whole
    assert tokenise(unicodedata.normalize("NFD", text)).hashes.tolist() == whole


LETTERS = "abcXYZ09 ,.年輪ßあ"


@given(st.text(st.sampled_from(LETTERS), max_size=30), st.text(st.sampled_from(LETTERS), max_size=30))
def test_equal_words_have_equal_hashes_and_others_do_not(one: str, two: str) -> None:
    def plain(text: str) -> list[str]:
        return [word.casefold() for word in words(text)]

    assert (tokenise(one).hashes.tolist() == tokenise(two).hashes.tolist()) == (plain(one) == plain(two))


@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी में किताब पढ़ना अच्छा है",
        "বাংলা ভাষায় বই পড়া ভালো",
        "தமிழில் புத்தகம் படிப்பது நல்லது",
        "සිංහල ක්‍රියා පදය",
        "السَّلَامُ عَلَيْكُمْ",
        "می‌خواهم کتاب",
        "שָׁלוֹם עוֹלָם",
        "Tiếng Việt nét",
        "한국어 책을",
    ],
)
def test_marks_belong_to_their_letter(text: str) -> None:
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, text)
        assert words(written) == written.split()
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.category(c).startswith("M"))
    assert tokenise(bare).hashes.tolist() != tokenise(text).hashes.tolist() or bare == unicodedata.normalize(
        "NFD", text
    )


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ภาษาไทยดี", "ภ า ษ า ไ ท ย ดี"),
        ("ພາສາລາວ", "ພ າ ສ າ ລ າ ວ"),
        ("ខ្ញុំរៀន", "ខ្ ញុំ រៀ ន"),
        ("မြန်မာစာ", "မြ န် မာ စာ"),
        ("ꦧꦱꦗꦮ", "ꦧ ꦱ ꦗ ꦮ"),
        ("བོད་སྐད་", "བོད སྐད"),
        ("コンピュータを使う", "コ ン ピ ュ ー タ を 使 う"),
        ("ﾊﾟｿｺﾝ", "ﾊﾟ ｿ ｺ ﾝ"),
        ("人々〇", "人 々 〇"),
        ("๑๒บาท", "๑๒ บ า ท"),
    ],
)
def test_letters_of_scripts_without_spaces_are_tokens(text: str, tokens: str) -> None:
    assert words(text) == tokens.split()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("⼩⽤⼀⻅⻓⺟", "小用一见长母"),
        ("ﬁnd the oﬃce", "find the office"),
        ("ｶﾞﾗｽ １２", "ガラス 12"),
        ("𝒙 𝐀 ﻻ", "x a لا"),
        ("סוף שׁ", "סוף ש\u05c1"),
        ("İstanbul ΛΟΓΟΣ", "i\u0307stanbul λογος"),
        ("① ⑴ ㊗ ㎏", "1 1 祝 kg"),
        ("豈\ufa0c", "豈兀"),
        ("so\u00adft \ufefftext سـلام", "soft text سلام"),
        ("葛\U000e0100", "葛"),
    ],
)
def test_other_forms_are_the_same(one: str, two: str) -> None:
    assert tokenise(one).hashes.tolist() == tokenise(two).hashes.tolist()


def test_superscripts_are_no_other_form() -> None:
    assert tokenise("x² 10²³").hashes.tolist() != tokenise("x2 1023").hashes.tolist()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What is 2 + 3?", "What is 2 + 3"),
        ("2-3 x-y well-known", "2 - 3 x - y well known"),
        ("C, C++ and C#", "C C ++ and C #"),
        ("a<b a > b.", "a < b a > b"),
        ("3:4 or 3.4, so", "3 : 4 or 3 . 4 so"),
        ("他说：“你好，世界”。", "他 说 你 好 世 界"),
        ("..- .- 🎉🎉", "..- .- 🎉🎉"),
    ],
)
def test_signs_are_tokens_where_they_count(text: str, tokens: str) -> None:
    assert words_and_signs(text) == tokens.split()
    assert tokenise_with_signs("5 − 3 × 2").hashes.tolist() == tokenise_with_signs("5 - 3 * 2").hashes.tolist()


def test_case_width_and_punctuation_do_not_count() -> None:
    assert tokenise("The TREE, ２０２４!").hashes.tolist() == tokenise("the “tree” 2024").hashes.tolist()
    assert tokenise("年轮。").hashes.tolist() == tokenise("年 轮").hashes.tolist()
    assert tokenise("ab").hashes.tolist() != tokenise("ba").hashes.tolist()
    assert len(set(tokenise("x" * 70 + "y " + "x" * 71).hashes.tolist())) == 2


def test_ngrams_are_windows_over_tokens() -> None:
    tokens = tokenise("a b c a b c").hashes
    grams = ngram_hashes(tokens, 3)
    assert len(grams) == 4
    assert grams[0] == grams[3]
    assert len(set(grams.tolist())) == 3
    assert len(ngram_hashes(tokens, 7)) == 0
    assert not np.array_equal(ngram_hashes(tokens, 2)[:4], grams)


def test_several_lengths_are_those_of_each() -> None:
    tokens = tokenise("a b c d e f g h i").hashes
    for ngram, hashes in zip((2, 5, 9, 11), raw_ngram_hashes(tokens, (2, 5, 9, 11)), strict=True):
        assert hashes.tolist() == next(raw_ngram_hashes(tokens, [ngram])).tolist()
        assert len(np.unique(hashes)) == max(0, 10 - ngram)


def test_tokens_of_scripts_without_spaces_are_known() -> None:
    text = "年 ring 轮 1 𠀀 ท い ①"
    assert is_unspaced(text, tokenise(text)).tolist() == [True, False, True, False, True, True, True, False]


@pytest.mark.parametrize("beside", ["", "é́ ", "ab " * 100_000, "b" * 65 + " "])
def test_a_word_is_known_wherever_it_stands(beside: str) -> None:
    words = "a word 木 of " + "x" * 64 + "y"
    expected, found = tokenise(words).hashes, tokenise(beside + words).hashes
    assert np.array_equal(found[-len(expected) :], expected)
    assert tokenise(words[:-1]).hashes[-1] != expected[-1]


def test_ngrams_are_hashed_by_horner() -> None:
    tokens, radix = [3, 5, 7, 11, 2**64 - 1, 17, 19, 23, 29, 31, 37], 0x9E3779B97F4A7C15
    for ngrams in ([1, 6], [5, 11], [12]):
        for ngram, found in zip(ngrams, raw_ngram_hashes(np.array(tokens, np.uint64), ngrams), strict=True):
            windows = [tokens[place : place + ngram] for place in range(len(tokens) - ngram + 1)]
            expected = [sum(token * radix**place for place, token in enumerate(window[::-1])) for window in windows]
            assert found.tolist() == [value % 2**64 for value in expected]
