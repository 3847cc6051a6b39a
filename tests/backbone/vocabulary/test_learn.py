from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from sapwood.backbone.vocabulary import learn as module
from sapwood.backbone.vocabulary.learn import as_tokenizer, extended, learn, new_pieces
from sapwood.backbone.vocabulary.pieces import Content
from sapwood.errors import SapwoodError

ALPHABET = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def byte_level(merges: Sequence[tuple[str, str]], **flags: bool) -> Content:
    """A tokenizer.json of all bytes and these merges."""
    vocabulary = ALPHABET | {left + right: 256 + number for number, (left, right) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges), **flags))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return dict(json.loads(tokenizer.to_str()))


OLD = byte_level([("a", "b"), ("c", "d"), ("ab", "c"), ("e", "e"), ("d", "a")])


def words(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join("".join(chance.choices("abcde", k=chance.randint(1, 9))) for _ in range(8)) for _ in range(count)]


def boundaries(content: Content, text: str) -> list[int]:
    """Where in the bytes of a text its tokens end; every letter of a piece is a byte."""
    return list(accumulate(len(token) for token in as_tokenizer(content).encode(text).tokens))


@pytest.mark.slow
@given(st.integers(0, 1000), st.integers(1, 60), st.booleans())
@settings(max_examples=40)
def test_every_new_piece_comes_up_and_old_tokens_are_only_joined(seed: int, size: int, whole_words: bool) -> None:
    content = OLD | {"model": OLD["model"] | {"ignore_merges": whole_words}}
    texts = words(seed, 40)
    merges = learn(content, texts, [], size)
    pieces, new = new_pieces(merges), extended(content, merges)
    assert 0 < len(pieces) <= size
    assert new["model"]["vocab"] == content["model"]["vocab"] | {p: 261 + number for number, p in enumerate(pieces)}
    merging = as_tokenizer(new | {"model": new["model"] | {"ignore_merges": False}})
    assert [[token.value for token in merging.model.tokenize(piece)] for piece in pieces] == [[p] for p in pieces]
    tokenizer = as_tokenizer(new)
    for text in [*texts, *words(seed + 1, 5), "年轮 x\n  y"]:
        assert set(boundaries(new, text)) <= set(boundaries(content, text))
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_texts_take_fewer_tokens() -> None:
    texts = words(1, 60)
    merges = learn(OLD, texts, [], 30)
    before, after = (sum(len(boundaries(content, text)) for text in texts) for content in (OLD, extended(OLD, merges)))
    assert after < 0.75 * before


def test_the_same_texts_give_the_same_merges() -> None:
    assert learn(OLD, words(2, 60), [], 40) == learn(OLD, words(2, 60), [], 40)


def test_texts_to_keep_keep_their_tokens() -> None:
    texts, kept = words(3, 200), ["abe cde", "bbbb dad"]
    free, bound = (learn(OLD, texts, keep, 25) for keep in ([], kept))
    old, changed, same = (
        [as_tokenizer(content).encode(text).ids for text in kept]
        for content in (OLD, extended(OLD, free), extended(OLD, bound))
    )
    assert changed != old
    assert same == old
    assert len(new_pieces(bound)) == 25  # others have moved up


def test_what_was_made_of_a_piece_goes_with_it() -> None:
    texts = ["xy"] * 60 + ["xyz"] * 40 + ["xyzw"] * 20 + ["uv"] * 15
    assert new_pieces(learn(OLD, texts, [], 9)) == ["xy", "xyz", "xyzw", "uv"]
    assert new_pieces(learn(OLD, texts, ["wxy"], 9)) == ["uv"]


def test_pieces_that_no_merge_leads_to_keep_their_ids() -> None:
    content = byte_level([("a", "b"), ("b", "c"), ("a", "bc")])  # in "abc", "ab" comes before "bc"
    assert as_tokenizer(content).encode("abc").tokens == ["ab", "c"]
    with pytest.raises(SapwoodError, match="nothing to learn"):
        learn(content, ["abc"] * 50, [], 5)
    # What would be made of it never comes up.
    assert new_pieces(learn(content, ["abc"] * 60 + ["abcd"] * 40 + ["uv"] * 20, [], 5)) == ["uv"]


def test_fewer_pieces_come_where_no_more_are_frequent() -> None:
    pieces = new_pieces(learn(OLD, ["xyz "] * module.MIN_OCCURRENCES, [], 50))
    assert sorted(pieces, key=len)[-1] == "xyz"
    assert len(pieces) <= 4
    with pytest.raises(SapwoodError, match="nothing to learn"):
        learn(OLD, ["xyz "] * (module.MIN_OCCURRENCES - 1), [], 50)
    with pytest.raises(SapwoodError, match="nothing to learn"):
        learn(OLD, ["xyz"] * 50, ["xyz"], 50)


def test_words_are_those_of_the_tokenizer() -> None:
    pieces = new_pieces(learn(OLD, ["qu in, qu in, "] * 20, [], 50))
    assert "qu" in pieces
    assert not [piece for piece in pieces if "uĠ" in piece or "n," in piece]


def test_merges_written_as_strings_stay_so() -> None:
    content = OLD | {"model": OLD["model"] | {"merges": [" ".join(merge) for merge in OLD["model"]["merges"]]}}
    merges = learn(content, words(4, 40), [], 5)
    new = extended(content, merges)
    assert new["model"]["merges"][5:] == [" ".join(merge) for merge in merges]
    assert as_tokenizer(new).get_vocab_size() == 266


@pytest.mark.parametrize("place", [261, 300])
def test_added_tokens_above_the_vocabulary_stay_where_they_are(place: int) -> None:
    # As Llama 3 and Qwen have them. 300 leaves a gap, which only tokens that are in the vocabulary can.
    tokenizer = as_tokenizer(OLD)
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    content = dict(json.loads(tokenizer.to_str()))
    if place != 261:
        content["model"]["vocab"] |= {"<|begin|>": place, "<|end|>": place + 1}
        for token in content["added_tokens"]:
            token["id"] += place - 261
    new = extended(content, learn(content, words(5, 40), [], 10))
    again = as_tokenizer(new)
    assert (again.token_to_id("<|begin|>"), again.token_to_id("<|end|>")) == (place, place + 1)
    assert sorted(new["model"]["vocab"].values())[-10:] == list(range(place + 2, place + 12))
    assert not {place, place + 1} & set(again.encode("<|begin|>ab<|end|>").ids)
    again.encode_special_tokens = False
    assert again.encode("<|begin|>ab<|end|>").ids == [place, 256, place + 1]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (models.WordLevel({"a": 0}, unk_token="a"), "WordLevel"),
        (models.WordPiece({"a": 0}, unk_token="a"), "WordPiece"),
        (models.Unigram([("a", 0.0)], unk_id=0), "Unigram"),
        (models.BPE({"a": 0}, [], byte_fallback=True), "BPE with byte fall-back"),
        (models.BPE({"a": 0}, []), "BPE, and not on bytes"),
    ],
)
def test_other_kinds_are_refused(model: object, found: str) -> None:
    with pytest.raises(SapwoodError, match=f"kind {found}"):
        learn(json.loads(Tokenizer(model).to_str()), ["aaaa"], [], 4)
