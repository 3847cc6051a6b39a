from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from sapwood.backbone.encode import Encoder
from sapwood.backbone.export import export
from sapwood.backbone.load import load_model, load_tokenizer
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


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gemma2", "llama", "reformer"])
def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 99}))
    with pytest.raises(SapwoodError, match="has no tokenizer"):
        open_tokenizer(tmp_path)


def test_a_tokenizer_that_fails_at_a_text_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece({"a": 0, "b": 1, "<eos>": 2}, unk_token="<unk>"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(FAST))
    with pytest.raises(SapwoodError, match="has no tokenizer that transformers can open"):
        open_tokenizer(tmp_path)


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


TEXT = "the tree <think> 树 <|im_end|> 2024 e\u0301"


@pytest.fixture
def model(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A copy of the tiny base model, which has embeddings for 400 ids, 0 to 399."""
    return shutil.copytree(tiny_backbone, tmp_path / "model")


def add_token(directory: Path, token: str, *, special: bool) -> None:
    """Adds a token that the model has no row for."""
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    number = 400 + sum(added["id"] >= 400 for added in content["added_tokens"])
    content["added_tokens"].append({"id": number, "content": token, "special": special, **flags})
    path.write_text(json.dumps(content))


def set_config(directory: Path, name: str, **settings: object) -> None:
    path = directory / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def exported(directory: Path, target: Path) -> Path:
    export(load_model(directory).state_dict(), directory, target)
    return target


def test_an_added_token_without_a_row_is_text(model: Path, tmp_path: Path) -> None:
    before = Encoder.load(model).encode_batch([TEXT])[0].tolist()
    add_token(model, "<think>", special=False)
    add_token(model, "<|pad|>", special=True)
    set_config(model, "tokenizer_config.json", pad_token="<|pad|>")
    opened = open_tokenizer(model)
    assert opened.gone == ("<think>", "<|pad|>")
    assert "embeddings for 400 ids" in opened.notes[0]
    assert Encoder.load(model).encode_batch([TEXT])[0].tolist() == before
    assert max(load_tokenizer(model)(TEXT)["input_ids"]) == 400
    target = exported(model, tmp_path / "out")
    assert load_tokenizer(target)(TEXT)["input_ids"] == before
    assert not open_tokenizer(target).changed


def test_an_end_without_a_row_gives_way_to_one_with(model: Path, tmp_path: Path) -> None:
    add_token(model, "<|im_end|>", special=True)
    set_config(model, "tokenizer_config.json", eos_token="<|im_end|>")
    opened = open_tokenizer(model)
    assert opened.delimiters() == Delimiters((), 0, (0,))
    assert "Texts end with <|endoftext|> (id 0) instead" in opened.notes[-1]
    tokenizer = load_tokenizer(exported(model, tmp_path / "out"))
    assert (tokenizer.eos_token, max(tokenizer(TEXT)["input_ids"]) < 400) == ("<|endoftext|>", True)
    with pytest.raises(DelimiterError, match=r"tokenizer.end: .*no such token"):
        opened.delimiters(end="<|im_end|>")


def test_a_control_token_without_a_row_that_nothing_gives_is_left_alone(model: Path) -> None:
    add_token(model, "<|pad|>", special=True)
    opened = open_tokenizer(model)
    assert (opened.changed, opened.notes) == (False, ())
    assert opened.content == (model / "tokenizer.json").read_text()


def test_a_beginning_without_a_row_is_refused(model: Path) -> None:
    add_token(model, "<bos>", special=True)
    path = model / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 400)])
    tokenizer.save(str(path))
    with pytest.raises(DelimiterError, match=r"tokenizer.begin: the model has no row for <bos> \(id 400\)"):
        Encoder.load(model)
    assert Encoder.load(model, "none").delimiters.begin == ()


def test_the_tokenizer_of_another_model_is_refused(model: Path) -> None:
    path = model / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"] |= {"Ġtreetree": 400}
    path.write_text(json.dumps(content))
    assert open_tokenizer(model).notes == ()  # no merge makes it
    content["model"]["merges"].append(["Ġtree", "tree"])
    content["model"]["vocab"] |= {"tree": 401}
    path.write_text(json.dumps(content))
    with pytest.raises(SapwoodError, match=r"cuts texts into ids up to 400 .* embeddings for 400 ids"):
        open_tokenizer(model)


def test_weights_that_contradict_the_configuration_are_refused(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["model.embed_tokens.weight"] = torch.zeros(390, 32)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SapwoodError, match=r"has 390 rows, and its config.json names a vocabulary of 400"):
        open_tokenizer(model)


def test_texts_are_cut_as_users_of_the_model_get_them_cut(model: Path, tmp_path: Path) -> None:
    plain = Encoder.load(model).encode_batch([TEXT])[0].tolist()
    set_config(model, "config.json", model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    opened, users = open_tokenizer(model), load_tokenizer(model)
    theirs = users(TEXT)["input_ids"]
    assert theirs != plain  # transformers normalises and cuts digits, whatever the file says
    assert "Qwen2Tokenizer of transformers" in opened.notes[0]
    assert Encoder.load(model).encode_batch([TEXT])[0].tolist() == theirs
    target = tmp_path / "out"
    shutil.copytree(model, target)
    opened.write(target)
    assert load_tokenizer(target)(TEXT)["input_ids"] == theirs
    assert Tokenizer.from_file(str(target / "tokenizer.json")).encode(TEXT).ids == theirs
    assert not open_tokenizer(target).changed


def test_settings_beside_the_tokenizer_count(model: Path) -> None:
    set_config(model, "tokenizer_config.json", add_prefix_space=True)
    users = load_tokenizer(model)("tree")["input_ids"]
    assert Encoder.load(model).encode_batch(["tree"])[0].tolist() == users


def unigram(directory: Path) -> Path:
    """A Unigram tokenizer as SentencePiece makes them: control symbols are pieces with the best score."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0), ("▁a", -3.0), ("ab", -4.0)]
    tokenizer = Tokenizer(models.Unigram([*pieces, *((letter, -5.0) for letter in "abcs</>")], unk_id=0))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    directory.mkdir()
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def test_control_symbols_are_no_pieces_of_a_text(tmp_path: Path) -> None:
    encoder = Encoder.load(unigram(tmp_path / "unigram"))
    tokenizer = Tokenizer.from_str(encoder.content)
    ids = encoder.encode_batch(["ab</s>c<s>", " ab", "a?b"])[0].tolist()
    spelled = ["ab", "<", "/", "s", ">", "c", "<", "s", ">", "▁", "ab", "a", "<unk>", "b"]
    assert [tokenizer.id_to_token(number) for number in ids] == spelled
    assert encoder.delimiters.end == tokenizer.token_to_id("</s>")
    assert encoder.decode([2]) == "</s>"
    assert not open_tokenizer(tmp_path / "unigram").changed
