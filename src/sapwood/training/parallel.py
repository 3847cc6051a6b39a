"""One process, or several under torchrun: who does which part of a batch, and how their gradients become one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
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

    def sum_modulo(self, values: Iterable[int]) -> int:
        """The sum of whole numbers over all ranks, modulo 2^64."""
        total = sum(values) % 2**64
        if self.size > 1:
            signed = torch.tensor(total - 2**63, dtype=torch.int64, device=self.device)
            dist.all_reduce(signed)
            total = (int(signed) + self.size * 2**63) % 2**64
        return total

    def any(self, flag: bool) -> bool:
        """Whether the flag is raised on any rank."""
        return self.sum(float(flag)) > 0

    def tell(self, record: Any) -> Any:
        """What the first rank has to say, as JSON, on every rank."""
        if self.size == 1:
            return record
        content = orjson.dumps(record) if self.first else b""
        length = torch.tensor(len(content), device=self.device)
        dist.broadcast(length, 0)
        told = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        if self.first:
            told.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(told, 0)
        return orjson.loads(bytes(told.tolist()))

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
