"""Activation checkpointing: what the backward pass computes again instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.attention.varlen  # registers its operator
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone.observe import observed

KEPT = [
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._scaled_mm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.torch_attn._varlen_attn.default,
]
"""What `selective` keeps: the results of matrix products and attention, which take nearly all the time of a layer."""


def draws_random_numbers(config: PretrainedConfig) -> bool:
    """Whether the models of a configuration draw random numbers while they are trained, as for dropout."""
    return observed(config, "randomness", look_at_randomness) is not False


def look_at_randomness(model: PreTrainedModel) -> bool:
    """Whether the generator is another after a forward pass."""
    before = torch.get_rng_state()
    model.train()(input_ids=torch.zeros(1, 4, dtype=torch.int64, device=model.device), use_cache=False)
    return not torch.equal(before, torch.get_rng_state())


def checkpoint_activations(
    layers: Sequence[nn.Module], mode: Literal["none", "selective", "full"], *, random: bool = True
) -> None:
    """Makes layers compute again, in the backward pass, what they would keep for it from the forward pass.

    `full` keeps a layer's input alone, `selective` besides it the results of matrix products and attention. Gradients
    are the same to the bit. Modules and parameters keep their names: it is the `forward` of each layer that is
    replaced, below its hooks, so that sharding does not happen twice. Where layers do not draw `random` numbers, the
    generators are not read before each and set again after it.
    """
    if mode == "none":
        return
    settings: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": random}
    if mode == "selective":
        settings["context_fn"] = partial(create_selective_checkpoint_contexts, KEPT)
    for layer in layers:
        layer.forward = _recomputed(layer.forward, settings)


def _recomputed(forward: Callable[..., Any], settings: dict[str, Any]) -> Callable[..., Any]:
    """A function of its own: of a `partial` of `checkpoint`, torch.compile compiles nothing, without a word."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, **settings, **kwargs)

    return run
