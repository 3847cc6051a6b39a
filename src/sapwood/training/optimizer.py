"""AdamW on fp32 master weights."""

from __future__ import annotations

import torch
from torch import nn


def build_optimizer(model: nn.Module, settings) -> torch.optim.AdamW:
    """AdamW over all trainable parameters; weight decay is for matrices only, not for norms and biases."""
    settings = settings.optimizer
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


def optimizer_tensors(model, optimizer):
    return {
        f"optimizer/{name}/{key}": value if value.ndim else value.view(1)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(model, optimizer, tensors):
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        name, _, part = key.removeprefix("optimizer/").rpartition("/")
        optimizer.state[parameters[name]][part] = tensor.view(()) if part == "step" else tensor
