"""The processes that share the work on one model, under torchrun or alone: who does which part, and what they tell."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import orjson
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from sapwood.device.memory import reuse_freed_memory
from sapwood.errors import SapwoodError

Given = TypeVar("Given")
A_DAY = timedelta(days=1)
"""How long ranks wait for what the first does alone: fetching a checkpoint, ordering documents, deciding a round."""
_patient: list[dist.ProcessGroup] = []
"""The group in which they do; none where `Ranks.join` was not called on several ranks."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among all that train the same model; one process alone is rank 0 of 1."""

    rank: int
    size: int
    device: torch.device

    @staticmethod
    def join(timeout: timedelta | None = None) -> Ranks:
        """Reads the place from torchrun's environment, joins the others, and readies the device.

        `timeout` is how long a rank waits for the others. Later calls in the same process find the group joined.
        """
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        else:
            device = torch.device("cpu")
            reuse_freed_memory()
        if not dist.is_initialized():
            # Flags and records travel between the processes without the GPU, hence gloo beside NCCL.
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            if size > 1:
                dist.init_process_group(backend, timeout=timeout)
                _patient.append(dist.new_group(backend="gloo", timeout=A_DAY))
            else:
                dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
            atexit.register(_leave)
        return Ranks(rank, size, device)

    @staticmethod
    def joined() -> Ranks:
        """This process's place in the group that was joined before; rank 0 of 1 where none was."""
        alone = not dist.is_initialized()
        device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
        return Ranks(0, 1, device) if alone else Ranks(dist.get_rank(), dist.get_world_size(), device)

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files."""
        return self.rank == 0

    def share(self, items: Sequence[Given]) -> Sequence[Given]:
        """This rank's part of the positions of a batch, or of other items: every size-th of them."""
        return items[self.rank :: self.size]

    def sum(self, values: Sequence[int]) -> list[int]:
        """The sums of some whole numbers over all ranks, modulo 2^64. The GPU is not waited for."""
        total = torch.tensor([value % 2**64 - 2**63 for value in values])
        if self.size > 1:
            dist.all_reduce(total)
        return [(int(value) + self.size * 2**63) % 2**64 for value in total]

    def most(self, value: int) -> int:
        """The largest of a whole number over all ranks. The GPU is not waited for."""
        largest = torch.tensor(value)
        if self.size > 1:
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def tell(self, record: Any) -> Any:
        """What the first rank has to say, as JSON, on every rank, however long it takes to find that out."""
        if self.size == 1:
            return record
        content = orjson.dumps(record) if self.first else b""
        length = torch.tensor(len(content))
        group = _patient[0] if _patient else None
        dist.broadcast(length, 0, group=group)
        told = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            told.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(told, 0, group=group)
        return orjson.loads(told.numpy().tobytes())

    def of_first(self, find: Callable[[], Any]) -> Any:
        """What the first rank finds (`tell`). Raises SapwoodError on every rank where it did on the first."""
        if self.size == 1:
            return find()
        found, refusal = None, None
        if self.first:
            try:
                found = find()
            except SapwoodError as error:
                refusal = str(error)
        found, refusal = self.tell([found, refusal])
        if refusal is not None:
            raise SapwoodError(refusal)
        return found

    def sum_arrays(self, values: np.ndarray) -> np.ndarray:
        """The sum of the ranks' arrays, of one shape. Exact where each value comes from one rank and is 0 on others."""
        if self.size == 1:
            return values
        total = torch.from_numpy(values.copy())
        dist.all_reduce(total)
        return total.numpy()

    def divide(self, work: Callable[[Sequence[Given]], Sequence[float]], items: Sequence[Given]) -> list[float]:
        """What `work` makes of the items, in order, on every rank; each rank gives it its share of them."""
        found = np.zeros(len(items))
        found[self.rank :: self.size] = work(self.share(items))
        return [float(value) for value in self.sum_arrays(found)]

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """Replaces a tensor on the device by its sum over all ranks."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Waits until all ranks are here, however long the first one takes."""
        if self.size > 1:
            dist.all_reduce(torch.zeros(1), group=_patient[0] if _patient else None)


def _leave() -> None:
    if dist.is_initialized():
        _patient.clear()
        dist.destroy_process_group()
