"""How a model keeps the packed documents of a batch apart, so that each sees itself alone.

Most models of transformers isolate packed documents by a mask over the whole sequence, whose size and cost grow with
its square. Where attention is all that connects tokens, and the plain one, the kernel is told where documents begin,
and nothing is computed for what is not seen. Layers that carry a state from token to token have neither: there each
document gets a row of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from sapwood.backbone.traits import Way
from sapwood.training.batch import Batch

NAME = "sapwood"
"""What our attention is called in transformers."""
HARMLESS = {"is_causal", "position_ids", "use_cache", "output_attentions", "output_hidden_states", "return_dict"}
"""What layers hand to their attention that changes nothing where all tokens of a document see those before them."""


def keep_apart(model: PreTrainedModel, way: Way) -> None:
    """Lets a model keep the documents of its batches apart in a certain way."""
    if way == "bounds":
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)
    model.keeps_apart = way


def bounds_fit(config: PretrainedConfig, device: torch.device, arithmetic: torch.dtype) -> bool:
    """Whether attention by bounds can be computed on a device: on GPUs, FlashAttention sets conditions to it."""
    if device.type != "cuda":
        return True
    text = config.get_text_config(decoder=True)
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    halves = arithmetic in (torch.bfloat16, torch.float16)
    return halves and size % 8 == 0 and size <= 256 and torch.cuda.get_device_capability(device) >= (8, 0)


def way_of(model: PreTrainedModel) -> Way:
    """How a model keeps the documents of its batches apart: unless told otherwise, by their positions."""
    way: Way = getattr(model, "keeps_apart", "positions")
    return way


def attention_inputs(model: PreTrainedModel, batch: Batch) -> dict[str, torch.Tensor]:
    """What a model is given besides tokens to keep the documents of a batch apart.

    transformers hands a mask of four dimensions on to the attention as it is; so the bounds take that way.
    """
    way = way_of(model)
    if way == "rows":
        return {}
    inputs = {"position_ids": batch.positions}
    if way == "bounds":
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
    """Attention as transformers calls it: [batch, heads, length, size] in, [batch, length, heads, size] out.

    Raises NotImplementedError for what it does not compute: windows, caps, sinks, dropout, and whatever else a layer
    asks of its attention. Then the kind of model keeps documents apart in another way.
    """
    if attention_mask is None or attention_mask.dtype != torch.int32:  # whoever scores or generates
        usual: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return usual
    asked = [name for name, value in others.items() if name not in HARMLESS and value not in (None, 0.0, False)]
    if asked or key.shape[2] != query.shape[2]:
        raise NotImplementedError(f"attention with {', '.join(asked) or 'keys of other tokens'}")
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
