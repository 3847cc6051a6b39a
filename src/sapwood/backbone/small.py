"""A small model of the same build: the configuration of any model, with fewer and narrower layers of every kind.

What a model does with packed documents, masks and logits follows from its code and its configuration, not from its
size. So it can be observed on a few layers of a few numbers, in well under a second, where the model itself may not
even be at hand.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone.load import build_random, build_skeleton

VOCABULARY, POSITIONS = 96, 128
WIDTH, HEAD = 64, 8
"""The hidden size and the size of a head that are aimed at. Rotary positions need an even one, some a multiple of 4."""
PARAMETERS = 1 << 26
"""A model that stays larger than this, 256 MiB in fp32, is none to try things on."""
DEVIATION, HEAD_DEVIATION = 0.15, 1.0
"""The standard deviations of weights, and of those of the output head. Those of most initialisations, 0.02, leave the
layers so near to the identity that what they do is lost in rounding, and logits so small that no cap shows."""

HEADS = {
    "num_attention_heads": "head_dim",
    "swa_num_attention_heads": "swa_head_dim",
    "num_heads": "head_dim",
    "mamba_n_heads": "mamba_d_head",
    "mamba_num_heads": "mamba_head_dim",
    "n_mamba_heads": "mamba_headdim",
    "decoder_attention_heads": "head_dim",
}
"""How many heads there are, and how large one is, where the product is a width of the model."""
HEAD_SIZES = re.compile(r"head_?dim|d_head|kv_channels|rotary_dim|head_size|dim_head")
ROPE = ("rope_theta", "partial_rotary_factor")
AT_THE_END = re.compile(r"shared_layers$")
"""How many of the last layers are unlike those before them: Gemma 3n has no keys and values of their own there."""
ALSO_LAYERS = re.compile(r"^(num|n)_(blocks|layers?)$")
"""A second name for the number of layers, as xLSTM has one."""
KEYS = ("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads", "num_query_groups")
"""Heads of keys and values, of which there may be fewer."""
SIZES = re.compile(
    r"(size|dim|rank|width|channels|headdim|size_mlp|per_layer_input|dff|n_embd|n_inner|d_(model|inner|head|state|ssm))$"
)
NO_SIZES = re.compile(r"vocab|window|kernel|chunk|block|gram|patch|batch|image|bucket|group_size|conv_dim")
LARGEST = (
    (re.compile(r"^(?!.*(shared|per_tok)).*experts?(_num)?$"), 4),
    (re.compile(r"experts_per_tok(en)?$|^moe_(top_?)?k$|index_topk(_blocks)?$"), 2),
    (re.compile(r"^(n_group|topk_group|num_expert_group)$|first_k_dense|num_dense_layers|moe_layer_start_index"), 1),
    (re.compile(r"period|interval|pattern|every_n_layers|sparse_step|layer_step|layer_group_size"), 2),
    (re.compile(r"_offset$"), 1),
    (re.compile(r"window(_size|_len)?$|^local_attention$|chunk_(size|length)$|index_block_size$"), HEAD),
    (re.compile(r"max_position_embeddings|n_positions|max_seq_len|max_target_positions|context_length"), POSITIONS),
    (re.compile(r"^vocab_size"), VOCABULARY),
)
"""Whole numbers by their names, and the most that is left of them."""


def small_config(config: PretrainedConfig) -> PretrainedConfig:
    """The configuration of a small model that has every kind of layer that a model of `config` has."""
    small = copy.deepcopy(config)
    for part in parts_of(small):
        _shrink(part)
    return small


def build_small(config: PretrainedConfig) -> PreTrainedModel:
    """The model of a small configuration, on the CPU, in fp32 and evaluation mode, with always the same weights.

    The random numbers of the process stay as they are. Raises ValueError where the model is not small, and whatever
    transformers raises where it cannot be built.
    """
    size = sum(parameter.numel() for parameter in build_skeleton(config).parameters())
    if size > PARAMETERS:
        raise ValueError(f"a model of kind '{config.model_type}' does not get smaller than {size:,} parameters")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build_random(config).eval()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=DEVIATION)
        head = model.get_output_embeddings()
        if head is not None:
            head.weight.normal_(std=HEAD_DEVIATION)
    return model


def parts_of(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    """A configuration and those inside it."""
    yield config
    for value in list(vars(config).values()):
        if isinstance(value, PretrainedConfig):
            yield from parts_of(value)


def _shrink(config: PretrainedConfig) -> None:
    """Makes a part of a configuration small, in place."""
    _keep_layers(config)
    for name, value in list(_numbers(config)):
        for pattern, largest in LARGEST:
            if pattern.search(name) and value > largest:
                setattr(config, name, largest)
    _narrow(config)
    vocabulary = _own(config, "vocab_size")
    for name, value in list(vars(config).items()) if isinstance(vocabulary, int) else ():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(config, name, min(value, vocabulary - 1))
        elif name.endswith("_token_id") and isinstance(value, list):
            setattr(config, name, [min(number, vocabulary - 1) for number in value])
    rope = _own(config, "rope_parameters")
    if isinstance(rope, dict):
        config.rope_parameters = _plain_rope(rope)


def _own(config: PretrainedConfig, name: str) -> Any:
    """What a configuration holds under a name, or under what its class calls that; None where it holds nothing."""
    return vars(config).get(getattr(config, "attribute_map", {}).get(name, name))


def _numbers(config: PretrainedConfig) -> Iterator[tuple[str, int]]:
    """The whole numbers of a configuration that are greater than 0, under the names that its class gives them."""
    for name, value in vars(config).items():
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            yield name, value


def _keep_layers(config: PretrainedConfig) -> None:
    """Keeps a layer of every kind, two of few kinds; where no list tells kinds, four, twice the longest period left.

    Lists tell kinds by an entry for each layer, or by the numbers of those that are of a kind; these are numbered anew.
    Numbers tell how many of the last layers are of a kind.
    """
    count = _own(config, "num_hidden_layers")
    if not isinstance(count, int):
        return
    lists = {name: value for name, value in vars(config).items() if isinstance(value, list | tuple) and value}
    places = {name: value for name, value in lists.items() if _are_places(name, value, count)}
    ends = {name: value for name, value in _numbers(config) if AT_THE_END.search(name) and value < count}
    by_layer = {name: value for name, value in lists.items() if len(value) == count and name not in places}
    kinds: dict[str, list[int]] = {}
    for number in range(count):
        entries = [value[number] for value in by_layer.values()] + [number in value for value in places.values()]
        entries += [number >= count - last for last in ends.values()]
        kinds.setdefault(repr(entries), []).append(number)
    each = 4 if not (by_layer or places or ends) else 2 if len(kinds) < 3 else 1
    kept = sorted(number for of_kind in kinds.values() for number in of_kind[:each])
    for name, value in by_layer.items():
        setattr(config, name, type(value)(value[number] for number in kept))
    for name, value in places.items():
        setattr(config, name, type(value)(new for new, number in enumerate(kept) if number in value))
    for name, last in ends.items():
        setattr(config, name, sum(number >= count - last for number in kept))
    for name in [name for name, number in _numbers(config) if number == count and ALSO_LAYERS.search(name)]:
        setattr(config, name, len(kept))
    config.num_hidden_layers = len(kept)


def _are_places(name: str, value: Any, count: int) -> bool:
    """Whether a list names some of `count` layers by their numbers."""
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in value)
    if not whole or "token" in name or list(value) != sorted(set(value)):
        return False
    return value[0] >= 0 and value[-1] < count and (len(value) > 2 or "layer" in name)


def _narrow(config: PretrainedConfig) -> None:
    """Divides widths by one factor, and the numbers and the size of heads so that their product still fits."""
    width = _own(config, "hidden_size")
    if not isinstance(width, int) or width <= WIDTH:
        return
    sizes = {name: value for name, value in _numbers(config) if SIZES.search(name) and not NO_SIZES.search(name)}
    heads = {name: _own(config, name) for name in HEADS if isinstance(_own(config, name), int)}
    each = {name: _own(config, HEADS[name]) or width // number for name, number in heads.items()}
    of_heads = {name: value for name, value in sizes.items() if HEAD_SIZES.search(name)}
    narrower = min((_two(value, HEAD) for value in [*of_heads.values(), *each.values()] if value >= HEAD), default=1)
    factor = min([_two(width, HEAD), 1 << (width // WIDTH).bit_length() - 1])
    # Where the size of a head is what the width leaves, heads that are too few to be fewer are narrower instead.
    stated = [number for name, number in heads.items() if number >= HEAD or _own(config, HEADS[name]) is not None]
    factor = min([factor, *(narrower * _two(number, 4) for number in stated)])
    narrower = min(narrower, factor)
    for name, value in sizes.items():
        if value >= HEAD:
            smaller = value // narrower if name in of_heads else -(-value // factor // HEAD) * HEAD
            setattr(config, name, smaller)
    for name, number in heads.items():
        fewer = number * narrower
        setattr(config, name, number if fewer % factor else fewer // factor)
    for name in KEYS:
        if isinstance(_own(config, name), int):
            setattr(config, name, max(1, _own(config, name) * narrower // factor))


def _two(value: int, least: int = 1) -> int:
    """The largest power of two that divides `value` and leaves a multiple of `least`, or 1.

    >>> _two(96), _two(96, 8), _two(71)
    (32, 4, 1)
    """
    power = 1
    while value % (power * 2 * least) == 0:
        power *= 2
    return power


def _plain_rope(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotary positions without factors by dimension, which fit no narrower head."""
    if any(isinstance(value, dict) for value in rope.values()):  # by kind of layer
        return {kind: _plain_rope(value) if isinstance(value, dict) else value for kind, value in rope.items()}
    if not any(isinstance(value, list | tuple) for value in rope.values()):
        return rope
    return {"rope_type": "default", **{name: rope[name] for name in ROPE if name in rope}}
