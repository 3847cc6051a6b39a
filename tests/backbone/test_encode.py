from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from sapwood.backbone import encode
from sapwood.backbone.encode import Encoder
from sapwood.backbone.probe import probe_texts
from sapwood.errors import SapwoodError


def save(tokenizer: Tokenizer, directory: Path, **config: object) -> Path:
    directory.mkdir(exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


def words(*, special: list[str]) -> Tokenizer:
    """A tokenizer of whole words, which fastokens cannot read."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[END]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    return tokenizer


def test_encodes_without_added_tokens(tokenizer_directory: Path) -> None:
    encoder = Encoder.load(tokenizer_directory)
    texts = ["the tree", "", "年轮 🌲", " wood\n"]
    ids, offsets = encoder.encode_batch(texts)
    assert (ids.dtype, offsets.dtype) == (np.uint32, np.int64)
    assert [encoder.decode(ids[a:b].tolist()) for a, b in pairwise(offsets)] == texts
    assert encoder.backend == "fastokens"
    assert encoder.reason == ""


def opened_without_fastokens(content: str) -> encode._Opened:
    return replace(opened(content), fast=None, reason="not wanted")


opened = encode._opened


def test_no_texts(tokenizer_directory: Path) -> None:
    ids, offsets = Encoder.load(tokenizer_directory).encode_batch([])
    assert len(ids) == 0
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("backend", ["fastokens", "tokenizers"])
def test_text_that_spells_a_control_token_stays_text(
    tokenizer_directory: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "tokenizers":
        monkeypatch.setattr(encode, "_opened", opened_without_fastokens)
    encoder = Encoder.load(tokenizer_directory)
    assert encoder.backend == backend
    text = "<|im_end|> a<|endoftext|><|im_start|>\n<|im_end|>"
    ids, _ = encoder.encode_batch([text])
    assert not set(ids.tolist()) & {0, 1, 2}
    assert encoder.decode(ids.tolist()) == text


def test_both_libraries_agree(tokenizer_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Encoder.load(tokenizer_directory)
    monkeypatch.setattr(encode, "_opened", opened_without_fastokens)
    reference = Encoder.load(tokenizer_directory)

    @given(st.lists(st.text(), max_size=4))
    def check(texts: list[str]) -> None:
        for part, expected in zip(fast.encode_batch(texts), reference.encode_batch(texts), strict=True):
            assert part.tolist() == expected.tolist()

    check()


def test_limits_saved_with_a_tokenizer_are_lifted(tokenizer_directory: Path) -> None:
    path = tokenizer_directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(path))
    ids, offsets = Encoder.load(tokenizer_directory).encode_batch(
        ["a", "the tree adds a ring of living wood every year"]
    )
    assert offsets[1] == 1
    assert len(ids) > 9


def test_falls_back_where_fastokens_cannot_read(tmp_path: Path) -> None:
    encoder = Encoder.load(save(words(special=["[END]"]), tmp_path / "words", eos_token="[END]"))
    assert encoder.backend == "tokenizers"
    assert "fastokens" in encoder.reason
    assert encoder.encode_batch(["a b", "b"])[0].tolist() == [2, 3, 3]


def test_falls_back_from_the_first_difference_on(tokenizer_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = encode._encode_fast

    def wrong(tokenizer: object, texts: list[str]) -> encode.Encoded:
        return original(tokenizer, [text.replace("strange", "odd") for text in texts])

    monkeypatch.setattr(encode, "_encode_fast", wrong)
    encoder = Encoder.load(tokenizer_directory)
    encoder.verify(["usual"])
    assert encoder.backend == "fastokens"
    encoder.verify(["usual", "a strange text"])
    assert encoder.backend == "tokenizers"
    assert "'a strange text'" in encoder.reason
    ids, _ = encoder.encode_batch(["strange"])
    assert encoder.decode(ids.tolist()) == "strange"


def test_texts_that_fastokens_refuses_go_to_the_reference(tmp_path: Path) -> None:
    # Without the byte \x1d in the vocabulary, tokenizers leaves it out and fastokens refuses the text.
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"Ŀ", "ĝ"})
    tokenizer = Tokenizer(models.BPE({"<e>": 0, **{c: n + 1 for n, c in enumerate(alphabet)}}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<e>"])
    encoder = Encoder.load(save(tokenizer, tmp_path / "bytes", eos_token="<e>"))
    assert encoder.backend == "fastokens"
    ids, offsets = encoder.encode_batch(["ab", "a\x1db", "", "c"])
    assert offsets.tolist() == [0, 2, 4, 4, 5]
    assert ids[0:2].tolist() == ids[2:4].tolist()


def test_a_vocabulary_that_gives_control_tokens_for_text_is_refused(tmp_path: Path) -> None:
    tokenizer = words(special=["[END]", "a"])
    with pytest.raises(SapwoodError, match="into the control token"):
        Encoder.load(save(tokenizer, tmp_path / "words", eos_token="[END]"))


def test_the_token_for_the_unknown_may_come_out(tmp_path: Path) -> None:
    directory = save(words(special=["[UNK]", "[END]"]), tmp_path / "words", eos_token="[END]")
    assert Encoder.load(directory).encode_batch(["a never b"])[0].tolist() == [2, 0, 3]
    with pytest.raises(SapwoodError, match="into the control token"):
        Encoder.load(directory, eos=0)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config.json": {"eos_token": "<|endoftext|>"}}, 0),
        ({"tokenizer_config.json": {"eos_token": {"__type": "AddedToken", "content": "<|im_start|>"}}}, 1),
        ({"tokenizer_config.json": {}, "generation_config.json": {"eos_token_id": [2, 0]}}, 2),
        ({"tokenizer_config.json": {}, "config.json": {"eos_token_id": 1}}, 1),
    ],
)
def test_finds_the_token_that_ends_a_text(
    tokenizer_directory: Path, files: dict[str, dict[str, object]], expected: int
) -> None:
    for name, content in files.items():
        (tokenizer_directory / name).write_text(json.dumps(content))
    assert Encoder.load(tokenizer_directory).delimiters.end == expected
    assert Encoder.load(tokenizer_directory, eos=7).delimiters.end == 7


def test_no_token_that_ends_a_text(tokenizer_directory: Path) -> None:
    for name in ("tokenizer_config.json", "config.json"):
        (tokenizer_directory / name).unlink()
    with pytest.raises(SapwoodError, match="eos_token"):
        Encoder.load(tokenizer_directory)


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="save_pretrained"):
        Encoder.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SapwoodError, match="no tokenizer"):
        Encoder.load(tmp_path)


def test_the_vocabulary_is_that_of_model_and_tokenizer(tokenizer_directory: Path) -> None:
    assert Encoder.load(tokenizer_directory).vocabulary_size == 360
    assert Encoder.load(tokenizer_directory).dtype == np.uint16
    (tokenizer_directory / "config.json").write_text(json.dumps({"vocab_size": 65537}))
    assert Encoder.load(tokenizer_directory).dtype == np.uint32
    (tokenizer_directory / "config.json").unlink()
    size = Tokenizer.from_file(str(tokenizer_directory / "tokenizer.json")).get_vocab_size()
    assert Encoder.load(tokenizer_directory).vocabulary_size == size < 360
    with pytest.raises(SapwoodError, match="outside the vocabulary"):
        Encoder.load(tokenizer_directory, eos=size)


def test_the_fingerprint_follows_what_decides_the_ids(tokenizer_directory: Path) -> None:
    before = Encoder.load(tokenizer_directory).fingerprint
    assert Encoder.load(tokenizer_directory).fingerprint == before
    assert Encoder.load(tokenizer_directory, eos=0).fingerprint != before
    path = tokenizer_directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.save(str(path))
    assert Encoder.load(tokenizer_directory).fingerprint != before


def test_the_probe_can_be_written_and_has_the_spellings() -> None:
    texts = probe_texts(["<control>", "<other>"])
    assert "a<control>b" in texts
    assert all(text.encode().decode() == text for text in texts)
    assert len(set(texts)) == len(texts)
