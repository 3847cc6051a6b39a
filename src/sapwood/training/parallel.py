"""One process, or several under torchrun: who does which part of a batch, and how their gradients become one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from sapwood.memory import reuse_freed_memory


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among all that train the same model. Every rank holds the whole model."""

    rank: int
    size: int
    device: torch.device

    @staticmethod
    def join() -> Ranks:
        """Reads the place from torchrun's environment, joins the others if there are any, and readies the device."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        else:
            device = torch.device("cpu")
            reuse_freed_memory()
        if size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Ranks(rank, size, device)

    def leave(self) -> None:
        """Parts from the others."""
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files."""
        return self.rank == 0

    def share(self, positions: Sequence[int]) -> Sequence[int]:
        """This rank's part of the positions of a batch: every size-th of them."""
        return positions[self.rank :: self.size]

    def sum(self, value: float) -> float:
        """The sum of a number over all ranks."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def any(self, flag: bool) -> bool:
        """Whether the flag is raised on any rank."""
        return self.sum(float(flag)) > 0

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces every gradient by its sum over all ranks. A rank without a sequence adds nothing."""
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                if self.size > 1:
                    dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Waits until all ranks are here."""
        if self.size > 1:
            dist.barrier()
