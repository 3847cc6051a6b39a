from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import DelimiterError, Delimiters, open_tokenizer
from sapwood.errors import SapwoodError

SPECIAL = ("<pad>", "<eos>", "<bos>", "<top>")
PAD, EOS, BOS, TOP = range(4)


def save(directory: Path, post_processor: object = None, config: object = None, **settings: object) -> Path:
    """A byte-level tokenizer of single bytes, with the control tokens 0 to 3."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate([*SPECIAL, *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    directory.mkdir(exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    if config is not None:
        (directory / "config.json").write_text(json.dumps(config))
    return directory


def template(text: str) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single=text, special_tokens=[(token, n) for n, token in enumerate(SPECIAL)])


FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>"}


@pytest.mark.parametrize(
    ("post_processor", "settings", "expected"),
    [
        (None, FAST, Delimiters((), EOS, (EOS,))),
        (None, FAST | {"bos_token": "<bos>"}, Delimiters((), EOS, (BOS,))),
        (template("<bos> $A"), FAST | {"bos_token": "<bos>"}, Delimiters((BOS,), EOS, (BOS,))),
        (template("<bos> $A <eos>"), FAST, Delimiters((BOS,), EOS, (BOS,))),
        (template("<top> <bos> $A"), FAST | {"bos_token": "<bos>"}, Delimiters((TOP, BOS), EOS, (TOP, BOS))),
        (template("<eos> $A"), FAST | {"bos_token": "<bos>"}, Delimiters((EOS,), EOS, (EOS,))),
    ],
)
def test_texts_begin_with_what_the_tokenizer_puts_in_front(
    tmp_path: Path, post_processor: object, settings: dict[str, object], expected: Delimiters
) -> None:
    directory = save(tmp_path / "model", post_processor, **settings)
    assert Encoder.load(directory).delimiters == expected
    assert open_tokenizer(directory).delimiters("none").begin == ()


def test_a_recipe_may_name_other_tokens(tmp_path: Path) -> None:
    opened = open_tokenizer(save(tmp_path / "model", template("<bos> $A"), **FAST, bos_token="<bos>"))
    assert opened.delimiters("none") == Delimiters((), EOS, (BOS,))
    assert opened.delimiters("<top>", "<pad>") == Delimiters((TOP,), PAD, (TOP,))
    for field, tokens in (("begin", ("<boss>",)), ("end", ("auto", "<boss>"))):
        with pytest.raises(DelimiterError, match=f"tokenizer.{field}: found '<boss>'.*Did you mean '<bos>'") as caught:
            opened.delimiters(*tokens)
        assert caught.value.field == field


def test_a_tokenizer_that_names_no_end_needs_one(tmp_path: Path) -> None:
    directory = save(tmp_path / "model", tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(SapwoodError, match="names no token that ends a text"):
        Encoder.load(directory)
    assert Encoder.load(directory, end="<eos>").delimiters.end == EOS


def test_a_changed_directory_is_opened_anew(tmp_path: Path) -> None:
    assert Encoder.load(save(tmp_path / "model", **FAST)).delimiters.begin == ()
    first = Encoder.load(tmp_path / "model").fingerprint
    again = Encoder.load(save(tmp_path / "model", template("<bos> $A"), **FAST))
    assert again.delimiters.begin == (BOS,)
    assert again.fingerprint != first


def test_an_encoder_is_written_and_read(tmp_path: Path) -> None:
    encoder = Encoder.load(save(tmp_path / "model", template("<top> <bos> $A"), {"vocab_size": 999}, **FAST))
    encoder.write(tmp_path / "encoder.json")
    again = Encoder.read(tmp_path / "encoder.json")
    assert (again.fingerprint, again.delimiters, again.vocabulary_size) == (
        encoder.fingerprint,
        encoder.delimiters,
        999,
    )
    assert again.encode_batch(["ab"])[0].tolist() == encoder.encode_batch(["ab"])[0].tolist()
