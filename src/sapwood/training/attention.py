"""Attention of packed documents: each sees itself alone, and nothing is computed for what it does not see.

transformers isolates packed documents by a mask over the whole sequence, whose size and cost grow with its square. Here
the kernel is told where documents begin.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from sapwood.training.batch import Batch

NAME = "sapwood"
PLAIN = {"exaone4", "glm4", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"}
"""Models (`config.model_type`) whose attention is the plain one: causal and scaled."""


def attend_by_document(model: PreTrainedModel) -> None:
    """Lets a model attend in this way where it is told the bounds of documents, if its attention is the plain one."""
    config = model.config.get_text_config()
    plain = config.model_type in PLAIN and not getattr(config, "sliding_window", None)
    if plain and not getattr(config, "attention_dropout", 0.0):
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def attention_inputs(model: PreTrainedModel, batch: Batch) -> dict[str, torch.Tensor]:
    """What a model is given besides tokens to keep the documents of a batch apart.

    transformers hands a mask of four dimensions on to the attention as it is; so the bounds take that way.
    """
    inputs = {"position_ids": batch.positions}
    if model.config.get_text_config()._attn_implementation == NAME:
        inputs["attention_mask"] = batch.bounds[None, None, None]
    return inputs


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it: [batch, heads, length, size] in, [batch, length, heads, size] out."""
    if attention_mask is None or attention_mask.dtype != torch.int32:  # whoever scores or generates
        usual: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return usual
    bounds = attention_mask[0, 0, 0]
    batch, heads, length, size = query.shape
    # [batch * length, heads, size]: all documents in one line
    query, key, value = (part.transpose(1, 2).flatten(0, 1) for part in (query, key, value))
    if query.device.type == "cuda":
        from torch.nn.attention.varlen import varlen_attn

        seen = varlen_attn(
            query, key, value, bounds, bounds, length, length, scale=scaling, window_size=(-1, 0), enable_gqa=True
        )
        assert isinstance(seen, torch.Tensor)
    else:
        seen = _one_by_one(query, key, value, bounds, scaling)
    return seen.view(batch, length, heads, size), None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """On a CPU, one call a document."""
    parts = []
    for start, stop in pairwise(bounds.tolist()):
        own = [part[None, start:stop].transpose(1, 2) for part in (query, key, value)]
        seen = functional.scaled_dot_product_attention(
            own[0], own[1], own[2], is_causal=True, scale=scaling, enable_gqa=True
        )
        parts.append(seen[0].transpose(0, 1))
    return torch.cat(parts)
