from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sapwood.likelihood.spelling import spelt_bytes

TEXTS = [
    "the old tree",
    "  spaces\t\n ",
    "老树的心材不再生长",
    "naïve café 🌳🌳",
    "e\u0301 \u200b\x00",
    "<|end|> <think>",
]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|end|>"])
    tokenizer.train_from_iterator(TEXTS * 9, trainer=trainer)
    tokenizer.add_tokens(["<think>", "树的"])
    return tokenizer


def sentence_piece() -> Tokenizer:
    pieces = ["<unk>", "<s>", *(f"<0x{number:02X}>" for number in range(256))]
    pieces += ["▁", "t", "h", "e", "r", "▁the", "▁tree", "th", "tr", "ee", "老", "树"]
    merges = [("t", "h"), ("t", "r"), ("e", "e")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    return tokenizer


@pytest.fixture(scope="module", params=[byte_level, sentence_piece])
def spelling(request: pytest.FixtureRequest):
    tokenizer = request.param()
    content = tokenizer.to_str()
    tokenizer.encode_special_tokens = True
    return tokenizer, spelt_bytes(content)


@given(text=st.text(st.sampled_from("".join(TEXTS))) | st.sampled_from(TEXTS))
def test_the_tokens_of_a_text_spell_its_bytes(spelling, text: str) -> None:
    tokenizer, lengths = spelling
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert lengths[ids].sum() == len(text.encode())


def test_tokens_may_end_inside_a_character(spelling) -> None:
    tokenizer, lengths = spelling
    ids = tokenizer.encode("🦉", add_special_tokens=False).ids
    assert len(ids) > 1
    assert 0 < lengths[ids[0]] < 4
    assert len(lengths) == tokenizer.get_vocab_size()
