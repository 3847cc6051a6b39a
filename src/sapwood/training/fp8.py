"""Matrix products in 8-bit floating point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from sapwood.errors import SapwoodError
from sapwood.training.adapters import is_adapter
from sapwood.training.layers import decoder_layers

CAPABILITY = (8, 9)
"""The first compute capability of NVIDIA's GPUs that multiplies in fp8 (Ada; Hopper is 9.0)."""
MULTIPLE = 16
"""What the kernels want the sizes of matrices to be divisible by. The gradient of a weight is a product over all tokens
of a micro-batch, so their number has to be as well (`recipe.check`)."""


def use_fp8(model: PreTrainedModel, *, emulate: bool = False) -> None:
    """Lets the linear modules of a model's layers multiply in fp8, forwards and backwards, in place (torchao).

    Both factors of every product are scaled anew by their largest entry. Weights, gradients and everything between the
    products stay in the type that they have; names of parameters too. Left as they are: the embeddings and the head,
    adapters, and matrices whose sizes are not divisible by 16.

    `emulate` rounds to fp8 and multiplies in fp32, on any device, for tests. Otherwise raises SapwoodError without a
    GPU of capability 8.9.
    """
    if not emulate:
        require_fp8()
    try:
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training
    except ImportError:
        raise SapwoodError("precision: fp8 needs torchao, which is not installed: pip install 'sapwood[fp8]'") from None
    config = Float8LinearConfig(emulate=emulate)
    for layer in decoder_layers(model):
        convert_to_float8_training(layer, module_filter_fn=_is_fit, config=config)


@contextmanager
def without_fp8(model: nn.Module) -> Iterator[None]:
    """Lets a model multiply in the type of its weights for a while: as whoever is given it will, and at any length."""
    kinds = {module: type(module) for module in model.modules() if type(module).__name__ == "Float8Linear"}
    for module in kinds:
        module.__class__ = nn.Linear
    try:
        yield
    finally:
        for module, kind in kinds.items():
            module.__class__ = kind


def _is_fit(module: nn.Module, name: str) -> bool:
    return (
        isinstance(module, nn.Linear)
        and not is_adapter(name)
        and module.in_features % MULTIPLE == 0
        and module.out_features % MULTIPLE == 0
    )


def require_fp8() -> None:
    """Raises SapwoodError without a GPU that multiplies in fp8."""
    if not torch.cuda.is_available():
        raise SapwoodError("precision: fp8 needs a GPU, and there is none. Write bf16, or auto.")
    capability = torch.cuda.get_device_capability()
    if capability < CAPABILITY:
        raise SapwoodError(
            f"precision: fp8 needs a GPU of compute capability {CAPABILITY[0]}.{CAPABILITY[1]}, such as H100, L40S or "
            f"RTX 4090. {torch.cuda.get_device_name()} has {capability[0]}.{capability[1]}. Write bf16."
        )
