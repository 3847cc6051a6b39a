"""How a model is spread over the ranks (FSDP2)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from sapwood.device.ranks import Ranks
from sapwood.recipe.schema import Parallel, Training
from sapwood.training.adapters import type_between_steps


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
    mesh = _mesh(ranks, settings.parallel)
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


def _mesh(ranks: Ranks, settings: Parallel) -> DeviceMesh:
    """The ranks in order, or, where parts of the model are held several times, [copies, parts]."""
    parts = settings.shards(ranks.size, int(os.environ.get("LOCAL_WORLD_SIZE", ranks.size)))
    if parts == ranks.size:
        return init_device_mesh(ranks.device.type, (ranks.size,), mesh_dim_names=("shard",))
    shape = (ranks.size // parts, parts)
    return init_device_mesh(ranks.device.type, shape, mesh_dim_names=("replicate", "shard"))
