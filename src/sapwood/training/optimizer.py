"""AdamW on fp32 master weights."""

from __future__ import annotations

import torch
from torch import nn

from sapwood.recipe.schema import Optimizer


def build_optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW over all trainable parameters; weight decay is for matrices only, not for norms and biases."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trainable if parameter.ndim >= 2]
    vectors = [parameter for parameter in trainable if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=True,
    )
