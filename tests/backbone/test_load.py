from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sapwood.backbone.load import load_config, load_model, load_tokenizer
from sapwood.errors import SapwoodError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_is_loaded_in_the_dtype_in_which_it_is_stored(write_model, dtype):
    directory = write_model(dtype=dtype)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"dtype": "float64"}))  # which does not count
    model = load_model(directory)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert not model.training
    assert model.config._attn_implementation == "sdpa"


def test_a_model_is_loaded_in_the_dtype_asked_for(write_model):
    assert load_model(write_model(dtype=torch.bfloat16), dtype=torch.float32).dtype == torch.float32


def test_configuration_and_tokenizer(write_model):
    directory = write_model()
    assert load_config(directory).hidden_size == 32
    tokenizer = load_tokenizer(directory)
    assert tokenizer.decode(tokenizer("the tree 树").input_ids) == "the tree 树"


def test_a_model_that_lacks_weights_is_refused(write_model):
    directory = write_model()
    tensors = load_file(directory / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SapwoodError, match=r"lacks 1 of the weights .* 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        load_model(directory)


def test_quantised_weights_are_refused(write_model):
    directory = write_model()
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] = tensors["model.layers.0.mlp.up_proj.weight"].to(torch.float8_e4m3fn)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SapwoodError, match=r"quantised \(F32, F8_E4M3\)"):
        load_model(directory)


def test_an_unknown_architecture_is_named(write_model):
    directory = write_model()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"model_type": "oak"}))
    with pytest.raises(SapwoodError, match=r"configuration in .*source cannot be loaded: .*oak"):
        load_config(directory)


def test_code_beside_a_model_is_not_run(write_model, tmp_path):
    directory = write_model()
    config = json.loads((directory / "config.json").read_text())
    own_code = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (directory / "config.json").write_text(json.dumps(config | own_code))
    (directory / "own.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')")
    with pytest.raises(SapwoodError, match="cannot be loaded"):
        load_model(directory)
    assert not (tmp_path / "was-run").exists()


def test_damaged_weights_are_named(write_model):
    directory = write_model()
    whole = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SapwoodError, match="source"):
        load_model(directory)
