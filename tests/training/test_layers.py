from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from one_rank import tiny_llama
from sapwood.errors import SapwoodError
from sapwood.training.layers import decoder_layers

SMALL = {"vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "pad_token_id": 0}


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma2", "mixtral", "gpt2", "gpt_neox", "opt", "phi3"])
def test_layers_are_found_in_many_models(kind: str) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL))
    layers = decoder_layers(model)
    assert len(layers) == 3
    assert len({type(layer) for layer in layers}) == 1
    held = {id(parameter) for layer in layers for parameter in layer.parameters()}
    outside = [name for name, parameter in model.named_parameters() if id(parameter) not in held]
    assert not [name for name in outside if "attn" in name or "mlp" in name]


def test_a_model_of_another_build_is_refused() -> None:
    model = tiny_llama()
    model.config.num_hidden_layers = 5
    with pytest.raises(SapwoodError, match=r"0 lists of 5 layers .* layers \(ModuleList\)"):
        decoder_layers(model)
