"""Numbers in 8 bits: a code for each, and a scale for every block of a row.

Dynamic codes and blocks are those of "8-bit Optimizers via Block-wise Quantization" (arXiv 2110.02861, sections 1.3 and
2.1). Blocks never reach from one row into the next, so that rows can be moved between ranks with their scales.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch.nn.functional import pad

BLOCK = 256
"""How many numbers of a row share a scale; the last block of a row may have fewer."""


def blocks(columns: int) -> int:
    """How many blocks a row has."""
    return -(-columns // BLOCK)


class Codes(NamedTuple):
    """What codes stand for, on a device. It is made before what uses it is compiled, which would else make it anew."""

    signed: bool
    shares: torch.Tensor
    """Of each code [256]."""
    middles: torch.Tensor
    """Above which share the next code is nearer [256]."""
    least: torch.Tensor
    """The least code of shares with the same upper bits [2^16]."""

    @classmethod
    def of(cls, signed: bool, device: torch.device) -> Codes:
        """Those of numbers that are `signed`, or of numbers that are not negative."""
        return cls(signed, _shares(signed, device), *_middles(signed, device))


def quantise(values: torch.Tensor, table: Codes) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [rows, columns], uint8, and scales [rows, blocks], fp32, of finite numbers [rows, columns], fp32.

    A scale is the largest absolute value of its block, and a code stands for the nearest of 256 shares of it. With
    codes that are not `signed`, where numbers must not be negative, no number but 0 becomes 0.
    """
    rows, columns = values.shape
    shape = (rows, blocks(columns), BLOCK)
    padded = pad(values, (0, shape[1] * BLOCK - columns)).view(shape)
    scales = padded.abs().amax(2)
    shares = (padded / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, :, None]).flatten()
    # The upper half of its bits nearly tells the code; many times faster than searching among all on a CPU.
    codes = table.least.index_select(0, (shares.view(torch.int32) >> 16).bitwise_and_(0xFFFF))
    codes += shares > table.middles.index_select(0, codes)
    if not table.signed:
        codes = codes.maximum(shares > 0)
    return codes.to(torch.uint8).view(shape).flatten(1)[:, :columns], scales


def dequantise(codes: torch.Tensor, scales: torch.Tensor, table: Codes) -> torch.Tensor:
    """The numbers [rows, columns], fp32, that codes and scales stand for."""
    shares = table.shares.index_select(0, codes.flatten().int()).view_as(codes)
    return shares.mul_(scales.repeat_interleave(BLOCK, 1)[:, : codes.shape[1]])


@functools.cache
def _shares(signed: bool, device: torch.device) -> torch.Tensor:
    """What the 256 codes stand for, in ascending order, between 0 (or -1) and 1.

    There are seven decades; each has twice as many codes as the one below, in equal distances.
    """
    found = [torch.tensor([0.0, 1.0], dtype=torch.float64)]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2 ** (decade + (not signed)) + 1, dtype=torch.float64)
        middles = (edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade - 6)
        found += [middles, -middles] if signed else [middles]
    return torch.cat(found).sort().values.float().to(device)


@functools.cache
def _middles(signed: bool, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Above which share the next code is nearer [256], and the least code of shares with the same upper bits [2^16].

    Between such shares lies one middle at most, so that the code is the least one or the next.
    """
    shares = _shares(signed, torch.device("cpu"))
    middles = torch.cat([(shares[1:] + shares[:-1]) / 2, torch.tensor([torch.inf])])
    bits = torch.arange(1 << 16, dtype=torch.int32) << 16
    least = torch.minimum(bits.view(torch.float32), (bits | 0xFFFF).view(torch.float32))
    return middles.to(device), torch.bucketize(least, middles[:-1], out_int32=True).to(device)
