"""The model as it is trained: loaded, prepared as the recipe says, and spread over the ranks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from sapwood.backbone.load import load_model
from sapwood.device.precision import autocast_type
from sapwood.device.ranks import Ranks
from sapwood.recipe.schema import Recipe, Training
from sapwood.training.adapters import add_adapters
from sapwood.training.attention import attend_by_document
from sapwood.training.fp8 import use_fp8
from sapwood.training.isolation import bounds_fit
from sapwood.training.layers import decoder_layers
from sapwood.training.loss import LossHead
from sapwood.training.parallel import spread
from sapwood.training.recompute import checkpoint_activations
from sapwood.training.trainable import select


def build_model(recipe: Recipe, directory: Path, ranks: Ranks) -> tuple[PreTrainedModel, LossHead | None]:
    """The model in a directory, ready to be trained on the ranks, and its head where that gives the loss in chunks.

    The weights are read as they are stored, which maps the files into memory; only a layer at a time is converted to
    the type of the master weights, of which every rank keeps its part.
    """
    settings = recipe.training
    model = load_model(directory).train()
    arithmetic = autocast_type(settings.precision, ranks.device) or torch.float32
    fits = bounds_fit(model.config, ranks.device, arithmetic)
    attend_by_document(model, isolate_documents=settings.isolate_documents, fits=fits)
    head = None if settings.loss == "whole" else LossHead.of(model)
    if settings.adapter is not None:
        add_adapters(model, settings.adapter, recipe.seed)
    if settings.precision == "fp8":
        use_fp8(model)
    select(model, recipe, recipe.stages[0])
    layers = decoder_layers(model)
    checkpoint_activations(layers, settings.activation_checkpointing)
    if settings.compile:
        for layer in layers:
            layer.compile()
    spread(model, layers, ranks, settings, arithmetic)
    return model, head


def accumulate(model: nn.Module, *, last: bool, settings: Training) -> None:
    """Prepares for the backward pass of a micro-batch: gradients are summed over the ranks after the `last` one."""
    assert isinstance(model, FSDPModule)
    model.set_requires_gradient_sync(last or settings.parallel.reduce == "micro-batch")
    model.set_is_last_backward(last)
