"""The decoder layers of a model, found by structure."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from sapwood.errors import SapwoodError


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The layers that a causal language model applies one after the other, the first to the last.

    They are the one list of modules in its decoder that is as long as its configuration says. Raises SapwoodError where
    there is no such list, or more than one.
    """
    decoder = model.get_decoder()
    number = model.config.get_text_config(decoder=True).num_hidden_layers
    lists = [module for module in decoder.children() if isinstance(module, nn.ModuleList) and len(module) == number]
    if len(lists) != 1:
        children = ", ".join(f"{name} ({type(module).__name__})" for name, module in decoder.named_children())
        raise SapwoodError(
            f"{type(model).__name__} has {len(lists)} lists of {number} layers in its decoder, and there must be one. "
            f"Its {type(decoder).__name__} holds {children}. Models of another build cannot be trained here."
        )
    return list(lists[0])
