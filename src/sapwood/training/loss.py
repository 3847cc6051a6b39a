"""The loss: next-token cross-entropy, summed, so that it can be divided by the tokens of the whole batch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sapwood.training.batch import IGNORED, Batch


def next_token_loss(model: nn.Module, batch: Batch, autocast: torch.dtype | None) -> torch.Tensor:
    """The sum over all predicted tokens of -log p, in nats [scalar, fp32].

    `autocast` is the type of the forward pass; None leaves it in the type of the weights.
    """
    with torch.autocast(batch.tokens.device.type, dtype=autocast, enabled=autocast is not None):
        logits = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), batch.labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )
