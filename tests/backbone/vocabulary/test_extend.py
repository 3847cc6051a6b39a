from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PhiConfig, Qwen2Config

from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import open_tokenizer
from sapwood.backbone.vocabulary.extend import extend, find_tables, grow_table
from sapwood.backbone.vocabulary.measure import measure
from sapwood.errors import SapwoodError

pytestmark = pytest.mark.slow

OLD_TEXT = ["the tree adds a ring of living wood every year, and keeps the old heart"] * 20
NEW_TEXT = ["年轮记录树木的生长。每年长出一圈新的边材，而心材不再生长，却支撑着整棵大树。"] * 20
SPECIAL = ["<|endoftext|>", "<|end|>"]
SIZE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a seeded model as a family has it: 300 pieces and two added tokens."""

    def make(family: str, dtype: torch.dtype = torch.float32, **changes: object) -> Path:
        directory = tmp_path / family
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=SPECIAL if family == "smollm" else [],
            show_progress=False,
        )
        tokenizer.train_from_iterator(OLD_TEXT, trainer=trainer)
        names = {"eos_token": "<|end|>", "tokenizer_class": "PreTrainedTokenizerFast"}
        if family == "qwen":
            tokenizer.normalizer = normalizers.NFC()
            names["tokenizer_class"] = "Qwen2Tokenizer"
        tokenizer.add_special_tokens(SPECIAL)
        directory.mkdir()
        content = json.loads(tokenizer.to_str())
        content["model"]["ignore_merges"] = family == "llama-3"
        (directory / "tokenizer.json").write_text(json.dumps(content))
        (directory / "tokenizer_config.json").write_text(json.dumps(names))
        config = {
            # tied, without a row to spare
            "smollm": LlamaConfig(vocab_size=300, tie_word_embeddings=True, **SIZE),
            # added tokens above the vocabulary, a head of its own
            "llama-3": LlamaConfig(vocab_size=302, tie_word_embeddings=False, **SIZE),
            # as many rows more as there are ids
            "qwen": Qwen2Config(vocab_size=384, tie_word_embeddings=True, **SIZE),
            # a head with a bias
            "phi": PhiConfig(vocab_size=302, tie_word_embeddings=False, **SIZE),
        }[family]
        config.update({"bos_token_id": None, "eos_token_id": tokenizer.token_to_id("<|end|>"), **changes})
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(directory)
        if family == "qwen":
            (directory / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
            (directory / "merges.txt").write_text("\n".join(" ".join(pair) for pair in content["model"]["merges"]))
        return directory

    return make


def logits(directory: Path, ids: list[int]) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize(
    ("family", "size", "rows", "first"),
    [
        ("smollm", 20, 320, 300),
        ("llama-3", 20, 384, 302),
        ("qwen", 20, 384, 302),
        ("qwen", 90, 448, 302),
        ("phi", 20, 384, 302),
    ],
)
def test_old_tokens_and_their_logits_stay(
    write: Write, tmp_path: Path, family: str, size: int, rows: int, first: int
) -> None:
    source, target = write(family), tmp_path / "target"
    texts = [*NEW_TEXT, *(f"第{chr(0x4E00 + n)}章{chr(0x4E00 + n)}节" for n in range(60) for _ in range(10))]
    counts = extend(source, texts, OLD_TEXT, target, size=size, multiple=64).counts
    before = json.loads((source / "config.json").read_text())
    assert counts == {"pieces": size, "first_id": first, "rows_before": before["vocab_size"], "rows": rows}
    assert json.loads((target / "config.json").read_text()) == before | {"vocab_size": rows}
    assert not {"vocab.json", "merges.txt"} & {file.name for file in target.iterdir()}
    for name in ("generation_config.json", "tokenizer_config.json"):
        assert (target / name).read_bytes() == (source / name).read_bytes()

    old, new = AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(target)
    ids = old(f"<|endoftext|>{OLD_TEXT[0]}<|end|>").input_ids
    assert new(f"<|endoftext|>{OLD_TEXT[0]}<|end|>").input_ids == ids
    assert new.eos_token_id == old.eos_token_id
    fewer = new(NEW_TEXT[0]).input_ids
    assert len(fewer) < len(old(NEW_TEXT[0]).input_ids)
    assert new.decode(fewer) == NEW_TEXT[0]
    assert Encoder.load(target).encode_batch(NEW_TEXT[:1])[0].tolist() == fewer
    assert Encoder.load(target).backend == "fastokens"

    after = logits(target, ids)
    assert after.shape == (len(ids), rows)
    torch.testing.assert_close(after[:, :first], logits(source, ids)[:, :first], rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ["smollm", "llama-3", "phi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_new_rows_are_means_each_in_its_own_table(
    write: Write, tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    source, target = write(family, dtype), tmp_path / "target"
    first = extend(source, NEW_TEXT, [], target, size=20, multiple=50).counts["first_id"]
    tolerance = 1e-6 if dtype == torch.float32 else 2e-3
    before, after = load_file(source / "model.safetensors"), load_file(target / "model.safetensors")
    assert before.keys() == after.keys()
    tables = find_tables(source).names
    assert len(tables) == {"smollm": 1, "llama-3": 2, "phi": 3}[family]
    old, new = (Tokenizer.from_file(str(at / "tokenizer.json")) for at in (source, target))
    for name, tensor in before.items():
        assert after[name].dtype == dtype
        if name not in tables:
            assert torch.equal(after[name], tensor)
            continue
        assert torch.equal(after[name][: len(tensor)], tensor)
        for number in range(first, first + 20):
            parts = [token.id for token in old.model.tokenize(new.id_to_token(number))]
            assert len(parts) > 1
            mean = tensor[parts].float().mean(0).to(dtype)
            torch.testing.assert_close(after[name][number], mean, rtol=0, atol=tolerance)
        rest = after[name][first + 20 :]
        assert len(rest)
        mean = tensor.float().mean(0).to(dtype)
        torch.testing.assert_close(rest, mean.expand_as(rest), rtol=0, atol=tolerance)


def test_rows_to_spare_that_are_not_needed_stay_as_they_are() -> None:
    table = torch.arange(20.0).reshape(10, 2)
    grown = grow_table(table, [[0, 1], [2, 3, 4]], 6, 10)
    assert torch.equal(grown[[0, 1, 2, 3, 4, 5, 8, 9]], table[[0, 1, 2, 3, 4, 5, 8, 9]])
    assert grown[6].tolist() == [1, 2]
    assert grown[7].tolist() == [6, 7]


def test_done_once_it_is_not_done_again(write: Write, tmp_path: Path) -> None:
    source, target = write("smollm"), tmp_path / "target"
    first = extend(source, NEW_TEXT, [], target, size=8, multiple=1)
    assert first.counts["rows"] == 308
    written = (target / "model.safetensors").stat().st_mtime_ns
    assert extend(source, NEW_TEXT, [], target, size=8, multiple=1) == first
    assert (target / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(SapwoodError, match=r"was made otherwise \(size 8, now 9\)"):
        extend(source, NEW_TEXT, [], target, size=9, multiple=1)
    with pytest.raises(SapwoodError, match=r"was made otherwise \(other texts\)"):
        extend(source, NEW_TEXT[1:], [], target, size=8, multiple=1)
    assert (target / "model.safetensors").stat().st_mtime_ns == written
    assert extend(source, NEW_TEXT, [], tmp_path / "other", size=9, multiple=1).counts["pieces"] == 9
    with pytest.raises(SapwoodError, match="is there already, and was not made by this command"):
        extend(target, NEW_TEXT, [], source, size=8, multiple=1)


def test_an_extended_model_can_be_extended(write: Write, tmp_path: Path) -> None:
    source, target, further = write("llama-3"), tmp_path / "target", tmp_path / "further"
    extend(source, NEW_TEXT, [], target, size=8, multiple=64)
    counts = extend(target, NEW_TEXT, [], further, size=8, multiple=64).counts
    assert counts == {"pieces": 8, "first_id": 310, "rows_before": 320, "rows": 320}
    assert AutoTokenizer.from_pretrained(further).convert_tokens_to_ids(SPECIAL) == [300, 301]


def test_weights_that_do_not_fit_the_configuration_are_refused(write: Write, tmp_path: Path) -> None:
    source = write("smollm")
    tensors = load_file(source / "model.safetensors")
    name = "model.embed_tokens.weight"
    save_file(tensors | {name: tensors[name][:-1].contiguous()}, source / "model.safetensors")
    with pytest.raises(
        SapwoodError, match=r"'model\.embed_tokens\.weight' .* has 299 rows, and its config\.json names"
    ):
        extend(source, NEW_TEXT, [], tmp_path / "target", size=8, multiple=64)
    tensors["other"] = tensors.pop(name)
    save_file(tensors, source / "model.safetensors")
    with pytest.raises(SapwoodError, match=r"under other names than lm_head\.weight or model\.embed_tokens\.weight"):
        extend(source, NEW_TEXT, [], tmp_path / "target", size=8, multiple=64)
    assert not (tmp_path / "target").exists()


def test_a_token_that_only_transformers_knows_is_refused(write: Write, tmp_path: Path) -> None:
    source = write("smollm")
    settings = json.loads((source / "tokenizer_config.json").read_text()) | {"pad_token": "<|pad|>"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(SapwoodError, match=r"<\|pad\|> is not in tokenizer\.json and would get another id"):
        extend(source, NEW_TEXT, [], tmp_path / "target", size=8, multiple=64)
    AutoTokenizer.from_pretrained(source).save_pretrained(source)
    assert extend(source, NEW_TEXT, [], tmp_path / "target", size=8, multiple=64).counts["first_id"] == 301


@pytest.mark.parametrize("shown", [True, False])
def test_what_is_extended_is_what_users_of_the_model_get(write: Write, tmp_path: Path, shown: bool) -> None:
    """transformers cuts digits of Qwen one by one, whatever the file says: `shown` by an old piece, or by none."""
    source, target = write("qwen"), tmp_path / "target"
    content = json.loads((source / "tokenizer.json").read_text())
    if shown:
        content["model"]["vocab"]["20"] = 302
        content["model"]["merges"].append(["2", "0"])
        (source / "tokenizer.json").write_text(json.dumps(content))
    texts = [f"in 2024 and 2024: 年轮e\u0301 {number % 5}" for number in range(40)]
    own = Tokenizer.from_file(str(source / "tokenizer.json"))
    users = AutoTokenizer.from_pretrained(source)
    theirs = [users(text)["input_ids"] for text in texts]
    assert (theirs != [own.encode(text).ids for text in texts]) == shown
    before = measure(source, {"": texts})[""]
    assert before.tokens == sum(map(len, theirs))
    counts = extend(source, texts, [], target, size=8, multiple=1).counts
    extended = AutoTokenizer.from_pretrained(target)
    found = [extended(text)["input_ids"] for text in texts]
    new = range(counts["first_id"], counts["first_id"] + counts["pieces"])
    assert any(set(new).intersection(ids) for ids in found)
    assert not [piece for piece in extended.convert_ids_to_tokens(list(new)) if any(map(str.isdecimal, piece))]
    written = Tokenizer.from_file(str(target / "tokenizer.json"))
    assert [written.encode(text).ids for text in texts] == found
    assert measure(target, {"": texts})[""].tokens == sum(map(len, found)) < before.tokens
    assert not open_tokenizer(target).changed
