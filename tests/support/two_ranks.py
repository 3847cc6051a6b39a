"""What each of two processes does with an optimizer."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from sapwood.training.lowbit import LowBitAdamW

SHAPES = ((37, 300), (37,))
"""Of a matrix and a vector, of which no two ranks hold as much."""
STEPS = 4


def low_bit(*parameters: torch.nn.Parameter, eight_bits: bool, decay: float = 0.0) -> LowBitAdamW:
    """The optimizer of some parameters."""
    groups = [{"params": list(parameters), "weight_decay": decay}]
    return LowBitAdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, eight_bits=eight_bits, seed=0)


def tensors_of(optimizer: LowBitAdamW) -> dict[str, torch.Tensor]:
    """The parameters and their state, to be saved and filled."""
    tensors = {}
    for number, parameter in enumerate(optimizer.param_groups[0]["params"]):
        tensors[f"{number}"] = parameter.data
        for name, part in optimizer.state[parameter].items():
            tensors[f"{number}.{name}"] = part if part.ndim else part.view(1)
    return tensors


def gradients(shape: tuple[int, ...], steps: int) -> list[torch.Tensor]:
    """Always the same."""
    chance = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=chance) * 0.1 for _ in range(steps)]


def second_half(rank: int, directory: str) -> None:
    """Takes up on two ranks what one has saved, does the other half of the steps, and saves."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    parameters = [
        torch.nn.Parameter(distribute_tensor(torch.zeros(shape, dtype=torch.bfloat16), mesh, [Shard(0)]))
        for shape in SHAPES
    ]
    optimizer = low_bit(*parameters, eight_bits=True)
    tensors = tensors_of(optimizer)
    dcp.load(tensors, storage_reader=HuggingFaceStorageReader(f"{directory}/saved"))
    for step in range(STEPS // 2, STEPS):
        for parameter in parameters:
            gradient = gradients(tuple(parameter.shape), STEPS)[step]
            parameter.grad = distribute_tensor(gradient.bfloat16(), mesh, [Shard(0)])
        optimizer.step()
    dcp.save(tensors, storage_writer=HuggingFaceStorageWriter(f"{directory}/again", save_distributed=True))
    dist.destroy_process_group()
