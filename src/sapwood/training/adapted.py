"""The weights of the adapted model, from a checkpoint and the base model, one tensor after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import PreTrainedModel

from sapwood.backbone.export import export
from sapwood.backbone.load import load_model
from sapwood.backbone.stored import StoredWeights
from sapwood.recipe import Recipe
from sapwood.training.adapters import MergedWeights
from sapwood.training.checkpoint import CheckpointTensors, read_state


def adapted_weights(
    recipe: Recipe, backbone: Path, checkpoint: Path, *, average: bool = False
) -> Mapping[str, torch.Tensor]:
    """What differs from the `backbone` after a checkpoint, under the base model's names; or the moving average of it.

    Raises SapwoodError where the checkpoint is not what was written.
    """
    held = CheckpointTensors(checkpoint)
    trained = held.average if average else held.weights
    adapter = recipe.training.adapter
    return trained if adapter is None else MergedWeights(StoredWeights(backbone), trained, adapter)


def export_adapted(
    recipe: Recipe, backbone: Path, checkpoint: Path, target: Path, dtype: torch.dtype | None = None
) -> None:
    """Writes the model of a checkpoint as a Hugging Face directory, as the base model is one, or in another type."""
    weights, rate = adapted_weights(recipe, backbone, checkpoint), read_state(checkpoint).learning_rate
    export(weights, backbone, target, dtype, partial=not trains_all(recipe), learning_rate=rate)


def load_adapted(recipe: Recipe, backbone: Path, checkpoint: Path) -> PreTrainedModel:
    """The model of a checkpoint, with the weights in the type in which they are trained."""
    model = load_model(backbone, dtype=torch.float32)
    fill(model, adapted_weights(recipe, backbone, checkpoint))
    return model


@torch.no_grad()
def fill(model: PreTrainedModel, weights: Mapping[str, torch.Tensor]) -> None:
    """Puts weights into a model, one tensor after the other, rounded to its type. Others stay as they are."""
    for name, tensor in weights.items():
        model.get_parameter(name).copy_(tensor)


def trains_all(recipe: Recipe) -> bool:
    """Whether every weight of the base model is trained."""
    stages = [recipe.training.trainable, *(stage.trainable for stage in recipe.stages)]
    return recipe.training.adapter is None and all(patterns is None for patterns in stages)
