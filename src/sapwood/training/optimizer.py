"""The optimizer that a recipe asks for, and its state as tensors."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from sapwood.recipe.schema import Recipe
from sapwood.training.lowbit import CHUNKS, LowBitAdamW
from sapwood.training.model import is_compiled
from sapwood.training.trainable import ever_trainable


def build_optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW over all parameters that any stage trains, with its state; weight decay is for matrices only.

    A step leaves alone what has no gradient, and, while `found_inf` of the optimizer is not 0 [scalar, on the device],
    everything.
    """
    settings = recipe.training.optimizer
    wanted = ever_trainable(model, recipe)
    trained = [(name, parameter) for name, parameter in model.named_parameters() if name in wanted]
    matrices = [(name, parameter) for name, parameter in trained if parameter.ndim >= 2]
    vectors = [(name, parameter) for name, parameter in trained if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    eight_bits = settings.kind == "adamw-8bit"
    if eight_bits or any(parameter.dtype != torch.float32 for _, parameter in trained):
        home = trained[0][1].device
        return LowBitAdamW(
            groups,
            lr=0.0,
            betas=settings.betas,
            eps=settings.epsilon,
            eight_bits=eight_bits,
            seed=recipe.seed,
            chunk=CHUNKS[home.type],
            compiled=home.type == "cuda" and is_compiled(recipe.training, home),
        )
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, eps=settings.epsilon, fused=True)
    for _, parameter in trained:  # as its first step would
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The whole state, as `optimizer/PARAMETER/PART`, sharded like the parameters; scalars are [1].

    These are the tensors that the optimizer works on: whoever fills them restores it.
    """
    return {
        f"optimizer/{name}/{part}": tensor if tensor.ndim else tensor.view(1)
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
        for part, tensor in optimizer.state[parameter].items()
    }
