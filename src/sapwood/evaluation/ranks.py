"""Work that several ranks share: each does its part, and all get everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist

Given = TypeVar("Given")


def rank_and_ranks() -> tuple[int, int]:
    """Which rank this is, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def sum_over_ranks(values: np.ndarray, device: torch.device) -> np.ndarray:
    """The sum of the ranks' arrays. Exact where each value comes from one rank, and is 0 on the others."""
    if rank_and_ranks()[1] == 1:
        return values
    total = torch.from_numpy(values).to(device)
    dist.all_reduce(total)
    return total.cpu().numpy()


def shared(
    work: Callable[[Sequence[Given]], Sequence[float]], items: Sequence[Given], device: torch.device
) -> list[float]:
    """What `work` makes of the items, in order; every rank gives it a part of them."""
    rank, ranks = rank_and_ranks()
    found = np.zeros(len(items))
    found[rank::ranks] = work(items[rank::ranks])
    return [float(value) for value in sum_over_ranks(found, device)]
