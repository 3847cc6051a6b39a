"""The model as it is trained: loaded, prepared as the recipe says, and spread over the ranks."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from sapwood.backbone.load import load_model
from sapwood.device.precision import autocast_type
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Recipe, Training
from sapwood.training.adapters import add_adapters
from sapwood.training.attention import attend_by_document
from sapwood.training.fp8 import MULTIPLE, use_fp8
from sapwood.training.isolation import bounds_fit, way_of
from sapwood.training.layers import decoder_layers
from sapwood.training.loss import LossHead
from sapwood.training.parallel import spread
from sapwood.training.recompute import checkpoint_activations, draws_random_numbers
from sapwood.training.trainable import select

TRITON_CAPABILITY = (7, 0)
"""The first compute capability of NVIDIA's GPUs for which Triton, and so torch.compile, makes kernels."""


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
        if settings.isolate_documents and way_of(model) == "rows":
            raise SapwoodError(
                f"precision: fp8 needs batches whose tokens are divisible by {MULTIPLE}, and {type(model).__name__} "
                "keeps documents apart by a row for each, of any length. Write bf16, or `isolate_documents: false`."
            )
        use_fp8(model)
    select(model, recipe, recipe.stages[0])
    layers = decoder_layers(model)
    if settings.activation_checkpointing != "none":
        random = settings.adapter is not None and settings.adapter.dropout > 0
        random = random or draws_random_numbers(model.config)
        checkpoint_activations(layers, settings.activation_checkpointing, random=random)
    if is_compiled(settings, ranks.device):
        for layer in layers:
            layer.compile()
    spread(model, layers, ranks, settings, arithmetic)
    return model, head


def is_compiled(settings: Training, device: torch.device) -> bool:
    """Whether the layers are compiled. `auto` does on GPUs for which Triton makes kernels, if it can here."""
    if settings.compile != "auto":
        return settings.compile
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < TRITON_CAPABILITY:
        return False
    if settings.adapter is not None and settings.adapter.kind == "dora":
        return False  # its layers break into pieces
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return find_spec("triton") is not None and compiler is not None


def accumulate(model: nn.Module, *, last: bool, settings: Training) -> None:
    """Prepares for the backward pass of a micro-batch: gradients are summed over the ranks after the `last` one."""
    assert isinstance(model, FSDPModule)
    model.set_requires_gradient_sync(last or settings.parallel.reduce == "micro-batch")
    model.set_is_last_backward(last)
