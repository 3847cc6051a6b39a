"""One process, or several under torchrun: who does which part of a batch, and how the model is spread over them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from sapwood.memory import reuse_freed_memory
from sapwood.recipe.schema import Parallel, Training
from sapwood.training.adapters import type_between_steps


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
            else:
                dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
            atexit.register(_leave)
        return Ranks(rank, size, device)

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files."""
        return self.rank == 0

    def share(self, positions: Sequence[int]) -> Sequence[int]:
        """This rank's part of the positions of a batch: every size-th of them."""
        return positions[self.rank :: self.size]

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
        """What the first rank has to say, as JSON, on every rank."""
        if self.size == 1:
            return record
        content = orjson.dumps(record) if self.first else b""
        length = torch.tensor(len(content))
        dist.broadcast(length, 0)
        told = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            told.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(told, 0)
        return orjson.loads(bytes(told.tolist()))

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """Replaces a tensor on the device by its sum over all ranks."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Waits until all ranks are here."""
        self.sum([0])

    def mesh(self, settings: Parallel) -> DeviceMesh:
        """The ranks in order, or, where parts of the model are held several times, [copies, parts]."""
        parts = settings.shards(self.size, int(os.environ.get("LOCAL_WORLD_SIZE", self.size)))
        if parts == self.size:
            return init_device_mesh(self.device.type, (self.size,), mesh_dim_names=("shard",))
        shape = (self.size // parts, parts)
        return init_device_mesh(self.device.type, shape, mesh_dim_names=("replicate", "shard"))


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def spread(
    model: nn.Module,
    layers: Sequence[nn.Module],
    ranks: Ranks,
    settings: Training,
    arithmetic: torch.dtype,
) -> None:
    """Spreads a model over the ranks, layer by layer (FSDP2), in place. One rank takes the same path.

    Parameters become DTensors of the type in which they are kept; forward and backward passes are computed in
    `arithmetic`. Gradients are summed over the ranks in fp32.
    """
    mesh = ranks.mesh(settings.parallel)
    policy = MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=torch.float32)
    offload = CPUOffloadPolicy(pin_memory=ranks.device.type == "cuda") if settings.parallel.offload else OffloadPolicy()
    for module in [*layers, model]:
        for name, parameter in module.named_parameters():  # and not buffers, such as the frequencies of positions
            parameter.data = parameter.data.to(type_between_steps(settings, name))
        fully_shard(module, mesh=mesh, mp_policy=policy, offload_policy=offload)
        assert isinstance(module, FSDPModule)
        # The loss is divided by the tokens of all ranks already.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
