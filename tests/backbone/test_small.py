"""Configurations of small models: a layer of every kind is left, and what is said of layers by number still holds."""

from __future__ import annotations

import pytest
from transformers import AutoConfig

from sapwood.backbone.small import build_small, small_config

HYBRID = ["linear_attention"] * 6 + ["hybrid"] + ["linear_attention"] * 5 + ["hybrid"]


def test_numbers_of_layers_are_those_of_the_layers_that_are_left() -> None:
    config = AutoConfig.for_model("zamba2", num_hidden_layers=len(HYBRID), layers_block_type=HYBRID)
    small = small_config(config)
    assert [small.layers_block_type[number] for number in small.hybrid_layer_ids] == ["hybrid", "hybrid"]
    assert small.layers_block_type.count("linear_attention") == 2


def test_layers_of_a_kind_are_left_where_numbers_alone_tell_kinds() -> None:
    config = AutoConfig.for_model("llama", num_hidden_layers=12, global_layers=[7, 11])
    small = small_config(config)
    assert (small.num_hidden_layers, small.global_layers) == (4, [2, 3])


def test_the_last_layers_stay_unlike_the_others() -> None:
    kinds = ["sliding_attention"] * 4 + ["full_attention"]
    config = AutoConfig.for_model("gemma3n_text", num_hidden_layers=15, num_kv_shared_layers=5, layer_types=kinds * 3)
    small = small_config(config)
    assert small.layer_types[-small.num_kv_shared_layers :] == ["sliding_attention", "full_attention"]
    build_small(small)


def test_a_second_name_for_the_number_of_layers_says_the_same() -> None:
    small = small_config(AutoConfig.for_model("xlstm", num_hidden_layers=6))
    assert small.num_blocks == small.num_hidden_layers == 4


@pytest.mark.parametrize("ends", [[128001, 128008, 128009], 128001])
def test_ids_of_tokens_are_no_layers_and_stay_in_the_vocabulary(ends: int | list[int]) -> None:
    small = small_config(AutoConfig.for_model("llama", num_hidden_layers=4, eos_token_id=ends))
    found = small.eos_token_id if isinstance(small.eos_token_id, list) else [small.eos_token_id]
    assert found
    assert all(number < small.vocab_size for number in found)


def test_few_wide_heads_get_narrower() -> None:
    """Zamba has two heads of state, whose size is not stated, and 7 billion parameters."""
    config = AutoConfig.for_model("zamba", num_hidden_layers=12)
    model = build_small(small_config(config))
    assert sum(parameter.numel() for parameter in model.parameters()) < 1 << 24
