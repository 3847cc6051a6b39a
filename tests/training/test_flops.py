from __future__ import annotations

import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from one_rank import tiny_llama
from sapwood.training.flops import flops_per_token, uncounted, utilisation
from sapwood.training.layers import decoder_layers

LENGTH = 128
HEADS, SIZE, LAYERS, VOCABULARY, HIDDEN, WIDE = 4, 16, 2, 101, 64, 128
IN_LAYERS = LAYERS * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN // 2 + 3 * HIDDEN * WIDE)


def counted(model: PreTrainedModel) -> float:
    """What torch counts in a real forward and backward pass, a token."""
    model.set_attn_implementation("eager")
    tokens = torch.zeros(2, LENGTH, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, use_cache=False).logits.sum().backward()
    return counter.get_total_flops() / tokens.numel()


@pytest.mark.parametrize("tied", [True, False])
def test_it_is_six_for_every_entry_of_a_matrix_and_the_attention(tied: bool) -> None:
    model = tiny_llama(tie_word_embeddings=tied)
    expected = 6 * (IN_LAYERS + VOCABULARY * HIDDEN) + 12 * LAYERS * HEADS * SIZE * LENGTH
    assert flops_per_token(model, LENGTH) == expected
    assert counted(model) == pytest.approx(expected, rel=0.001)


def test_what_is_frozen_takes_less() -> None:
    whole = flops_per_token(tiny_llama(), LENGTH)
    model = tiny_llama(tie_word_embeddings=False)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert flops_per_token(model, LENGTH) == whole / 3, "forward alone"
    decoder_layers(model)[1].requires_grad_(True)
    found = flops_per_token(model, LENGTH)
    assert found < 0.75 * whole
    assert found == pytest.approx(counted(model), rel=0.05)


def test_adapters_spare_the_gradients_of_frozen_matrices() -> None:
    pytest.importorskip("peft")
    from sapwood.recipe.schema import Adapter
    from sapwood.training.adapters import add_adapters, is_adapter

    model = tiny_llama(tie_word_embeddings=False)
    add_adapters(model, Adapter(rank=2), seed=0)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(name))
    found = flops_per_token(model, LENGTH)
    assert found == pytest.approx(counted(model), rel=0.05)


def test_a_window_is_all_that_a_token_attends_to() -> None:
    config = AutoConfig.for_model(
        "gemma2", vocab_size=101, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, head_dim=16
    )
    config.sliding_window, config.layer_types = 32, ["sliding_attention", "full_attention"]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    short, long = flops_per_token(model, 32), flops_per_token(model, 1032)
    assert long - short == 12 * 2 * 16 * 1000


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("mixtral", "a token goes through some of its 8 experts"),
        ("mamba", r"its backbone.layers.0.mixer.conv1d.weight is \[64, 1, 4\]"),
        ("xlstm", "its configuration names no heads of attention"),
    ],
)
def test_what_is_not_counted_has_its_own_reason(kind: str, reason: str) -> None:
    config = AutoConfig.for_model(kind, vocab_size=101, hidden_size=32, num_hidden_layers=1, pad_token_id=0)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert flops_per_token(model, LENGTH) is None
    assert re.match(reason, str(uncounted(model)))


def test_utilisation_is_a_share_of_all_peaks() -> None:
    assert utilisation(8_000, 10**9, 1e13, 2) == pytest.approx(0.4)
    assert utilisation(8_000, 10**9, None, 2) is None
    assert utilisation(8_000, None, 1e13, 2) is None
