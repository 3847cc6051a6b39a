from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.ngrams import is_han, ngram_hashes, tokenise

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=0x323AF, exclude_categories=["Cs"]), max_size=60),
    st.text(st.sampled_from("aB9_ ,年轮の。ＡＺé-"), max_size=40),
)


def words(text: str) -> list[str]:
    tokens = tokenise(text)
    return [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]


@given(TEXTS)
def test_tokens_are_words_and_single_han_characters(text: str) -> None:
    expected = [match[0] for match in TOKEN.finditer(text)]
    if not any(character >= "\U00020000" for character in text):  # Han beyond the plane that the pattern knows
        assert words(text) == expected


@given(TEXTS, TEXTS)
def test_equal_words_have_equal_hashes_and_others_do_not(one: str, two: str) -> None:
    def plain(text: str) -> list[str]:
        narrow = text.translate({wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)})
        return ["".join(c.lower() if len(c.lower()) == 1 else c for c in word) for word in words(narrow)]

    hashes = tokenise(one).hashes.tolist() == tokenise(two).hashes.tolist()
    assert hashes == (plain(one) == plain(two))


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


def test_han_tokens_are_known() -> None:
    text = "年 ring 轮 1 𠀀"
    assert is_han(text, tokenise(text)).tolist() == [True, False, True, False, True]
