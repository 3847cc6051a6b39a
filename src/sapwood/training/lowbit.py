"""AdamW in less memory: moments in 8 bits, weights in bf16."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from sapwood.training.quantise import Codes, blocks, dequantise, quantise
from sapwood.training.rounding import round_stochastically

SMALL = 4096
"""Matrices with fewer entries, and vectors, keep moments of 32 bits, as bitsandbytes has it."""
CHUNKS = {"cpu": 1 << 22, "cuda": 1 << 25}
"""How many entries are computed at once, in fp32, by some ninety kernels with a dozen copies alive. A copy is 16 MiB on
a CPU. On a GPU it is 128 MiB, which means 41,000 launches a step for 8B parameters instead of 194,000, and some 3,000
where the update is compiled."""


class LowBitAdamW(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101), in fp32, on weights and moments that are kept in fewer bits.

    bf16 weights are rounded stochastically; fp32 weights are as in `torch.optim.AdamW`. With `eight_bits`, both moments
    are kept in 8 bits (`quantise`). The second one is kept as its root: else it would be rounded to nearly nothing
    where the first one is not, and their ratio is the update.

    All state consists of plain tensors, sharded like the parameter, which exist from the beginning. Neither they nor
    the rounding depends on the number of ranks.
    """

    found_inf: torch.Tensor | None = None
    """A flag [scalar], as of the fused optimizers of torch: where it is not 0, a step leaves everything as it is."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        eight_bits: bool,
        seed: int,
        chunk: int = CHUNKS["cpu"],
        compiled: bool = False,
    ) -> None:
        """State of zeros for all parameters, of which `chunk` entries are computed at once.

        `compiled` makes a few kernels of the update of a chunk (torch.compile). They may fuse a product and a sum, and
        so differ from the others in the last bit.
        """
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self._seed = seed
        self._chunk = chunk
        self._update_rows = torch.compile(_update_rows, dynamic=True) if compiled else _update_rows
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = _zeros(parameter, eight_bits)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        number = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                number += 1
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group, self._seed + number)

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any], seed: int) -> None:
        state = self.state[parameter]
        skipped = None if self.found_inf is None else self.found_inf.to(parameter.device) != 0
        step = state["step"] + 1
        start = _first_entry(parameter)
        weight, gradient = _local(parameter), _local(gradient)
        kept = {name: _local(part) for name, part in state.items() if name != "step"}
        rates = _Rates.of(group, weight.device)
        columns = weight.shape[1]
        rows = max(1, self._chunk // columns)
        # Tensors, where Python's numbers would be compiled for anew when they change; on the host, for their values
        # are handed to a kernel with its call.
        key = torch.tensor(seed & 0x7FFFFFFF, dtype=torch.int32)
        for first in range(0, weight.shape[0], rows):
            part = slice(first, first + rows)
            old = {name: tensor[part] for name, tensor in kept.items()}
            place = torch.tensor(start + first * columns)
            self._update_rows(weight[part], gradient[part], old, step, rates, place, key, skipped)
        _put(state["step"], step, skipped)


class _Rates(NamedTuple):
    """The numbers of a group, and the codes of moments in 8 bits."""

    betas: tuple[float, float]
    eps: float
    rate: torch.Tensor
    """The learning rate [scalar, fp32, on the host]."""
    kept: torch.Tensor
    """What weight decay leaves of a weight, the same."""
    first: Codes
    """Of the first moment."""
    root: Codes
    """Of the root of the second one."""

    @classmethod
    def of(cls, group: dict[str, Any], device: torch.device) -> _Rates:
        kept = 1 - group["lr"] * group["weight_decay"]
        numbers = torch.tensor(group["lr"]), torch.tensor(kept)
        return cls(group["betas"], group["eps"], *numbers, Codes.of(True, device), Codes.of(False, device))


def _update_rows(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    old: dict[str, torch.Tensor],
    step: torch.Tensor,
    rates: _Rates,
    start: torch.Tensor,
    key: torch.Tensor,
    skipped: torch.Tensor | None,
) -> None:
    """Updates rows of a weight [rows, columns] and of its moments in place, the first entry of which is at `start`."""
    updated, new = _adamw(weight.float(), gradient.float(), old, step, rates)
    if weight.dtype == torch.bfloat16:
        updated = round_stochastically(updated, start, step, key)
    _put(weight, updated, skipped)
    for name, tensor in new.items():
        _put(old[name], tensor, skipped)


def _zeros(parameter: torch.Tensor, eight_bits: bool) -> dict[str, torch.Tensor]:
    """The state of a parameter before its first step."""
    step = torch.zeros((), device=parameter.device)
    like = parameter.detach()
    if not eight_bits or like.ndim < 2 or like.numel() < SMALL:
        moments = {name: torch.zeros_like(like, dtype=torch.float32) for name in ("exp_avg", "exp_avg_sq")}
        return {"step": step, **moments}
    scale = like[..., : blocks(like.shape[-1])]
    parts = {
        "exp_avg.codes": torch.zeros_like(like, dtype=torch.uint8),
        "exp_avg.scales": torch.zeros_like(scale, dtype=torch.float32, memory_format=torch.contiguous_format),
    }
    roots = {name.replace("avg", "avg_sq_root"): torch.zeros_like(part) for name, part in parts.items()}
    return {"step": step, **parts, **roots}


def _adamw(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    moments: dict[str, torch.Tensor],
    step: torch.Tensor,
    rates: _Rates,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weight and the moments after a step; all are [rows, columns], fp32, but for moments of 8 bits."""
    beta1, beta2 = rates.betas
    quantised = "exp_avg.codes" in moments
    if quantised:
        first = dequantise(moments["exp_avg.codes"], moments["exp_avg.scales"], rates.first)
        codes, scales = moments["exp_avg_sq_root.codes"], moments["exp_avg_sq_root.scales"]
        second = dequantise(codes, scales, rates.root).square_()
    else:
        first, second = moments["exp_avg"], moments["exp_avg_sq"]
    first = first.lerp(gradient, 1 - beta1)
    second = second.lerp(gradient.square(), 1 - beta2)
    root = second.sqrt()
    denominator = root / (1 - beta2**step).sqrt() + rates.eps
    weight = weight * rates.kept
    weight -= (1 - beta1**step).reciprocal() * rates.rate * (first / denominator)
    if not quantised:
        return weight, {"exp_avg": first, "exp_avg_sq": second}
    codes, scales = quantise(first, rates.first)
    root_codes, root_scales = quantise(root, rates.root)
    return weight, {
        "exp_avg.codes": codes,
        "exp_avg.scales": scales,
        "exp_avg_sq_root.codes": root_codes,
        "exp_avg_sq_root.scales": root_scales,
    }


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of a tensor, as rows [rows, columns], of a vector [entries, 1]; the memory is the same."""
    columns = tensor.shape[-1] if tensor.ndim >= 2 else 1
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach()).view(-1, columns)


def _first_entry(tensor: torch.Tensor) -> int:
    """Where this rank's part begins, in entries of the whole tensor, which is sharded by its first dimension."""
    if not isinstance(tensor, DTensor):
        return 0
    _, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return offset[0] * (tensor.numel() // tensor.shape[0]) if offset else 0


def _put(old: torch.Tensor, new: torch.Tensor, skipped: torch.Tensor | None) -> None:
    old.copy_(new if skipped is None else torch.where(skipped, old, new))
