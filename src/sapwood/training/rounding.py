"""Rounding up or down by chance, so that what is too small to count once is not lost on average."""

from __future__ import annotations

import torch

_INDICES, _STEPS = -0x61C88647, 0x2545F491
"""Odd factors that spread small numbers over 32 bits; the first is 2^32 divided by the golden ratio."""


def round_stochastically(
    values: torch.Tensor, start: torch.Tensor, step: torch.Tensor, seed: torch.Tensor
) -> torch.Tensor:
    """fp32 `values` in bf16: one of the two neighbours, the nearer with the larger chance, so that the mean is kept.

    The chance is a hash of the place of an entry (`start`, int64, is the first one's), of the step (on the device), and
    of `seed` (int32, not negative), all scalars. So it does not depend on how a tensor is cut into parts, copies round
    alike, and a resumed run rounds as it would have.
    """
    places = torch.arange(values.numel(), device=values.device).add_(start).to(torch.int32) * _INDICES
    key = _scrambled(step.to(torch.int32) * _STEPS ^ seed)
    chance = _scrambled(places ^ key).bitwise_and_(0xFFFF).view_as(values)
    # bf16 is the upper half of fp32. The lower half, as a part of 2^16, is how far it is to the neighbour away from 0.
    return chance.add_(values.view(torch.int32)).bitwise_and_(-0x10000).view(torch.float32).bfloat16()


def _scrambled(numbers: torch.Tensor) -> torch.Tensor:
    """A hash of 32 bits: lowbias32 of Wellons, "Prospecting for hash functions" (2018)."""
    numbers = numbers ^ (numbers >> 16 & 0xFFFF)
    numbers = numbers * 0x7FEB352D
    numbers = numbers ^ (numbers >> 15 & 0x1FFFF)
    numbers = numbers * (0x846CA68B - 2**32)
    return numbers ^ (numbers >> 16 & 0xFFFF)
