from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from sapwood.backbone.vocabulary.measure import measure
from sapwood.backbone.vocabulary.pieces import byte_lengths

pytestmark = pytest.mark.slow


def save(tokenizer: Tokenizer, directory: Path) -> Path:
    tokenizer.add_special_tokens(["</s>"])
    directory.mkdir()
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    return directory


def byte_level(directory: Path, normalizer: object = None) -> Path:
    """All bytes, and as pieces `th`, `树` whole and two bytes of `林`."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    spelled = {character: pre_tokenizers.ByteLevel(False).pre_tokenize_str(character)[0][0] for character in "树林"}
    (a, b, c), (d, e, _) = spelled["树"], spelled["林"]
    merges = [("t", "h"), (a, b), (a + b, c), (d, e)]
    merged = {"".join(pair): 256 + number for number, pair in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(letters | merged, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.normalizer = normalizer
    return save(tokenizer, directory)


def sentencepiece(directory: Path) -> Path:
    """In the manner of Llama 2: pieces in characters, a space before every text, bytes for what is not there."""
    fallback = {f"<0x{byte:02X}>": byte for byte in range(256)}
    pieces = {piece: 256 + number for number, piece in enumerate(["▁", "t", "h", "树", "th", "▁th"])}
    tokenizer = Tokenizer(models.BPE(fallback | pieces, [("t", "h"), ("▁", "th")], byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return save(tokenizer, directory)


def test_characters_spread_over_tokens_are_counted(tmp_path: Path) -> None:
    found = measure(byte_level(tmp_path / "model"), {"zh": ["树林林", "树"], "en": ["th th"]})
    zh, en = found["zh"], found["en"]
    assert (zh.characters, zh.bytes, zh.tokens, zh.traced, zh.cut) == (4, 12, 6, 4, 2)
    assert (zh.per_character, zh.per_byte, zh.cut_share) == (1.5, 0.5, 0.5)
    assert (en.characters, en.bytes, en.tokens, en.cut_share) == (5, 5, 3, 0.0)


def test_bytes_and_the_space_of_sentencepiece_are_seen_through(tmp_path: Path) -> None:
    found = measure(sentencepiece(tmp_path / "model"), {"zh": ["树林", "th 树"]})["zh"]
    assert (found.characters, found.bytes, found.tokens) == (6, 12, 5 + 3)
    assert (found.traced, found.cut) == (6, 1)


def test_what_a_normaliser_changed_is_not_traced(tmp_path: Path) -> None:
    directory = byte_level(tmp_path / "model", normalizers.Replace("x", "yyy"))
    found = measure(directory, {"a": ["x"], "b": ["x", "林"]})
    assert found["a"].cut_share is None
    assert (found["b"].traced, found["b"].cut) == (1, 1)
    assert (found["b"].characters, found["b"].tokens) == (2, 5)


def test_counts_are_those_of_single_tokens(tmp_path: Path) -> None:
    directory = byte_level(tmp_path / "model")
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))

    @given(st.text(alphabet="th 树林年😀", min_size=1))
    def check(text: str) -> None:
        found = measure(directory, {"": [text]})[""]
        encoded = tokenizer.encode(text)
        shared = [one for one in range(len(text)) if sum(a <= one < b for a, b in encoded.offsets) > 1]
        assert (found.tokens, found.traced, found.cut) == (len(encoded.ids), len(text), len(shared))

    check()


def test_lengths_of_added_tokens_and_of_ids_that_are_not_there(tokenizer_directory: Path) -> None:
    content = json.loads((tokenizer_directory / "tokenizer.json").read_text())
    content["added_tokens"].append({"id": 360, "content": "<|树|>"})
    lengths = byte_lengths(content)
    assert lengths[content["model"]["vocab"]["Ġ"]] == 1
    assert (lengths[0], lengths[355], lengths[360]) == (len("<|endoftext|>"), 0, 7)


def test_many_texts_are_counted_in_batches(tokenizer_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"the tree {number}" for number in range(10)]
    whole = measure(tokenizer_directory, {"": texts})
    monkeypatch.setattr("sapwood.backbone.vocabulary.measure._BATCH", 3)
    assert measure(tokenizer_directory, {"": texts}) == whole
