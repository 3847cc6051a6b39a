"""The decoder layers of a model, found by structure."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    return list(model.get_decoder().layers)
