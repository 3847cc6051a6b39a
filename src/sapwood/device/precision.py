"""Which arithmetic the hardware is fast at."""

from __future__ import annotations

from typing import Literal

import torch


def autocast_type(precision: Literal["auto", "bf16", "fp32", "fp8"], device: torch.device) -> torch.dtype | None:
    """The type of forward and backward passes; None for fp32 throughout. What is not computed in fp8 is in bf16.

    `auto` is bf16 on GPUs from compute capability 8.0 and on CPUs with AVX-512 BF16 or AMX instructions. Elsewhere bf16
    is emulated, up to thirty times slower than fp32 on a CPU with AVX2 alone.
    """
    if precision != "auto":
        return None if precision == "fp32" else torch.bfloat16
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        capabilities: dict[str, bool] = getattr(
            torch.cpu, "get_capabilities", dict
        )()  # older releases of torch cannot tell
        fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.bfloat16 if fast else None
