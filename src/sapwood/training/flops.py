"""How many floating point operations training needs, and what share of a GPU's peak that is."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from sapwood.device.chips import find_chip
from sapwood.recipe.schema import Training
from sapwood.training.layers import decoder_layers
from sapwood.training.probe import experts_of


def flops_per_token(model: PreTrainedModel, sequence_length: int) -> int | None:
    """Operations that the model needs for a trained token, forwards and backwards; None where it is no dense decoder.

    A matrix of N entries takes 2N forwards, 2N for the gradient of its input and 2N for its own: 6N. Attention takes
    12 * heads * size of a head * sequence_length a layer, as if every token saw the whole sequence (a window, where the
    layer has one). This is the convention of PaLM (arXiv 2204.02311, appendix B), and so are the rest: what is computed
    again does not count, nor do embeddings looked up, norms and softmax. That a token sees only what is before it in
    its document is not subtracted.

    What is frozen has no gradient of its own, and what lies before all that is trained, none of its input either.
    Parameters may be sharded, or on `meta`.
    """
    if uncounted(model) is not None:
        return None
    config = model.config.get_text_config(decoder=True)
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    head = model.get_output_embeddings()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kinds = getattr(config, "layer_types", None) or []
    window = getattr(config, "sliding_window", None)
    total = 0
    reached = any(parameter.requires_grad for parameter in model.parameters() if id(parameter) in looked_up)
    for number, layer in enumerate(decoder_layers(model)):
        for parameter in layer.parameters():
            if parameter.ndim == 2:
                total += 2 * (1 + reached + parameter.requires_grad) * parameter.numel()
            reached = reached or parameter.requires_grad
        slides = kinds[number] == "sliding_attention" if kinds else window is not None
        seen = min(sequence_length, window) if slides and window else sequence_length
        total += 4 * (3 if reached else 1) * config.num_attention_heads * size * seen
    if head is not None:
        reached = reached or any(p.requires_grad for p in model.get_decoder().parameters())
        total += 2 * (1 + reached + head.weight.requires_grad) * head.weight.numel()
    return total


def uncounted(model: PreTrainedModel) -> str | None:
    """Why the operations of a model are not counted, as a clause; None where they are."""
    if experts := experts_of(model):
        return f"a token goes through some of its {experts} experts"
    for name, parameter in model.named_parameters():
        if parameter.ndim > 2:
            return f"its {name} is {list(parameter.shape)}, and matrices alone are counted"
    if getattr(model.config.get_text_config(decoder=True), "num_attention_heads", None) is None:
        return "its configuration names no heads of attention"
    return None


def peak_flops(settings: Training, device: torch.device) -> float | None:
    """The most operations a second of a device in the arithmetic of `settings`; None on CPUs and unknown GPUs."""
    chip = find_chip(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return None if chip is None else chip.peak(settings.precision)


def utilisation(tokens_per_second: float, flops: int | None, peak: float | None, ranks: int) -> float | None:
    """Model FLOPs utilisation (MFU): the share of the peak of all `ranks` together that the model's own operations are.

    `tokens_per_second` is over all ranks, `flops` a token, `peak` a second and rank; None where one is not known.
    """
    return None if flops is None or peak is None else tokens_per_second * flops / (peak * ranks)
