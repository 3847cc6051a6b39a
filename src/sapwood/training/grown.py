"""The weights of the grown model, from a checkpoint and the backbone, one tensor after the other."""

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
from sapwood.training.checkpoint import CheckpointTensors


def grown_weights(recipe: Recipe, backbone: Path, checkpoint: Path) -> Mapping[str, torch.Tensor]:
    """What differs from the `backbone` after a checkpoint, under the backbone's names.

    Raises SapwoodError where the checkpoint is not what was written.
    """
    trained = CheckpointTensors(checkpoint).weights
    adapter = recipe.training.adapter
    return trained if adapter is None else MergedWeights(StoredWeights(backbone), trained, adapter)


def export_grown(
    recipe: Recipe, backbone: Path, checkpoint: Path, target: Path, dtype: torch.dtype | None = None
) -> None:
    """Writes the model of a checkpoint as a Hugging Face directory, as the backbone is one, or in another type."""
    weights = grown_weights(recipe, backbone, checkpoint)
    export(weights, backbone, target, dtype, partial=not _trains_all(recipe))


def load_grown(recipe: Recipe, backbone: Path, checkpoint: Path) -> PreTrainedModel:
    """The model of a checkpoint, with the weights in the type in which they are trained."""
    model = load_model(backbone, dtype=torch.float32)
    with torch.no_grad():
        for name, tensor in grown_weights(recipe, backbone, checkpoint).items():
            model.get_parameter(name).copy_(tensor)
    return model


def _trains_all(recipe: Recipe) -> bool:
    stages = [recipe.training.trainable, *(stage.trainable for stage in recipe.stages)]
    return recipe.training.adapter is None and all(patterns is None for patterns in stages)
