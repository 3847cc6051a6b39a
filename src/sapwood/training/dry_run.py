"""A training step without a number computed: how much memory would be in use, and for what, when it is most.

The model lies on torch's `meta` device, where tensors have shapes and no storage. Forward and backward pass run on it
as they are, whatever the architecture, while a meter counts the bytes of the tensors that are alive. What FSDP2 holds
besides is added where it would be allocated and taken away where it would be freed.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from sapwood.training.attention import isolation
from sapwood.training.batch import Batch
from sapwood.training.layers import decoder_layers
from sapwood.training.loss import CHUNK_LOGITS, LossHead, next_token_losses

WEIGHTS, GRADIENTS, WORKING = "weights", "gradients", "working copies"
ACTIVATIONS, LOGITS = "activations", "logits and loss"
"""What memory is for, as it stands in the plan."""
SUM = 4
"""Bytes of a number in a sum of gradients: fp32."""


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that are alive, by what they are for, and keeps the counts of the highest sum.

    Tensors that are `there` before are not counted. `device` is what `meta` stands for.
    """

    def __init__(self, there: Iterable[torch.Tensor], device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self.part = ACTIVATIONS
        """What tensors made from now on are for."""
        self.now: Counter[str] = Counter()
        self.peak: dict[str, int] = {}
        self._total = self._most = 0
        self._made: dict[int, tuple[str, int, weakref.ref[torch.UntypedStorage]]] = {}
        self._there = {id(tensor.untyped_storage()) for tensor in there}

    def add(self, part: str, size: int) -> None:
        """Counts `size` bytes more, or less."""
        self.now[part] += size
        self._total += size
        if self._total > self._most:
            self._most, self.peak = self._total, dict(self.now)

    def move(self, tensor: torch.Tensor, part: str) -> None:
        """Counts a tensor as another part than the one it was made for."""
        key = id(tensor.untyped_storage())
        before, size, reference = self._made[key]
        self._made[key] = part, size, reference
        self.now[before] -= size
        self.now[part] += size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        unseen = self._unseen(func, args)
        if unseen:
            self.add(self.part, unseen)
            self.add(self.part, -unseen)
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = id(storage)
                if key not in self._made and key not in self._there:
                    size = storage.nbytes()
                    self._made[key] = self.part, size, weakref.ref(storage, partial(self._forget, key))
                    self.add(self.part, size)
        return result

    def _unseen(self, func: Any, args: Any) -> int:
        """Bytes that an operator makes and gives up inside."""
        if func is torch.ops.aten.logsumexp.default:
            return int(args[0].nbytes)
        if func is torch.ops.aten.add_.Tensor and self._device == "cpu" and args[0].dtype != args[1].dtype:
            return int(args[0].itemsize * args[1].numel())  # a GPU converts number by number
        return 0

    def _forget(self, key: int, _: Any) -> None:
        part, size, _ = self._made.pop(key)
        self.add(part, -size)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the model is spread over the ranks, as far as memory depends on it."""

    shards: int
    """Into how many parts weights, gradients and optimizer are cut."""
    master: int
    """Bytes of a trained weight between steps, and of its gradient."""
    arithmetic: int
    """Bytes of a weight in forward and backward passes."""
    sums: Literal["none", "whole", "shards"]
    """What there is of gradients from micro-batches before: nothing, sums over the rank's own (`reduce: step`), or sums
    over all ranks (`reduce: micro-batch`)."""
    offload: bool
    """Whether weights, gradients and optimizer stay in the memory of the host."""


@dataclass(eq=False, slots=True)
class Group:
    """The parameters that FSDP2 gathers at once: those of a layer, or all that are in none."""

    parameters: list[nn.Parameter]
    gathered: bool = False
    graded: int = 0
    """How many parameters have a gradient by now."""
    trained: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        self.trained = [parameter for parameter in self.parameters if parameter.requires_grad]


class Sharding:
    """What FSDP2 allocates and frees around the layers of a model, on a meter."""

    def __init__(self, model: PreTrainedModel, spread: Spread, meter: Meter) -> None:
        """Follows the passes through `model` by hooks."""
        self._meter = meter
        self._spread = spread
        self._sent = 0
        """Bytes in which gradients are on their way to other ranks."""
        self._received = 0
        """Bytes into which weights come from other ranks, before they are copied out."""
        layers = decoder_layers(model)
        self._layers = [Group(list(layer.parameters())) for layer in layers]
        inside = {parameter for group in self._layers for parameter in group.parameters}
        self._rest = Group([parameter for parameter in model.parameters() if parameter not in inside])
        model.register_forward_hook(lambda *_: self._receive(0))
        for layer, group in zip(layers, self._layers, strict=True):
            layer.register_forward_pre_hook(partial(self._enter, group))
            layer.register_forward_hook(partial(self._leave, group))
            for parameter in group.trained:
                parameter.register_post_accumulate_grad_hook(partial(self._graded, group))  # type: ignore[no-untyped-call]
        for parameter in self._rest.trained:
            parameter.register_post_accumulate_grad_hook(self._keep)  # type: ignore[no-untyped-call]
        numbers = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        if spread.sums == "whole":
            meter.add(GRADIENTS, numbers * SUM)
        elif spread.sums == "shards":  # which still are on their way to other ranks, in part
            meter.add(GRADIENTS, 0 if spread.offload else numbers * spread.master // spread.shards)
            self._sent = SUM * sum(parameter.numel() for parameter in self._rest.trained)
            meter.add(WORKING, self._sent)
        self._gather(self._rest)

    def finish(self) -> None:
        """What comes after the backward pass."""
        for group in self._layers:
            self._release(group)
        self._receive(0)
        self._reduce(self._rest)

    def _enter(self, group: Group, *_: Any) -> None:
        self._gather(group)

    def _leave(self, group: Group, module: nn.Module, inputs: Any, output: Any) -> None:
        self._release(group)
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
                tensor.register_hook(partial(self._return, group))  # type: ignore[no-untyped-call]

    def _return(self, group: Group, _: torch.Tensor) -> None:
        """Comes back to a layer in the backward pass. One that is not trained is left when the next is come to."""
        self._meter.part = ACTIVATIONS
        for other in self._layers:
            self._release(other)
        self._gather(group)

    def _graded(self, group: Group, _: torch.Tensor) -> None:
        group.graded += 1
        if group.graded == len(group.trained):
            self._reduce(group)

    def _keep(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        self._meter.move(parameter.grad, GRADIENTS)

    def _gather(self, group: Group) -> None:
        if not group.gathered:
            group.gathered = True
            if self._spread.shards > 1:
                # Backwards the next layer is on its way by now, which is as large.
                self._receive(self._size(group))
            self._meter.add(WORKING, self._size(group))

    def _release(self, group: Group) -> None:
        if group.gathered:
            group.gathered = False
            self._meter.add(WORKING, -self._size(group))

    def _receive(self, size: int) -> None:
        self._meter.add(WORKING, size - self._received)
        self._received = size

    def _size(self, group: Group) -> int:
        return self._spread.arithmetic * sum(parameter.numel() for parameter in group.parameters)

    def _reduce(self, group: Group) -> None:
        """Sums the gradients of a group over the ranks, in the order in which FSDP2 allocates and frees."""
        add, spread = self._meter.add, self._spread
        numbers = sum(parameter.numel() for parameter in group.trained)
        whole = SUM * numbers
        own, kept = whole // spread.shards, spread.master * numbers // spread.shards
        self._release(group)
        if spread.sums == "whole":  # the last gradients are added to them
            self._forget_gradients(group)
        add(WORKING, -self._sent)
        add(WORKING, whole)
        self._sent = whole
        self._forget_gradients(group)
        if spread.sums == "whole":
            add(GRADIENTS, -whole)
        add(GRADIENTS, own)
        if spread.shards == 1:  # divided by one, into another copy
            add(WORKING, whole)
            add(WORKING, -whole)
        if kept < own:
            add(GRADIENTS, kept)
            add(GRADIENTS, -own)
        if spread.sums == "shards" or spread.offload:  # added to the sums, or moved to the host
            add(GRADIENTS, -kept)

    def _forget_gradients(self, group: Group) -> None:
        for parameter in group.trained:
            parameter.grad = None


def dry_run(
    model: PreTrainedModel,
    spread: Spread,
    *,
    device: Literal["cpu", "cuda"],
    sequences: int,
    length: int,
    chunked: bool,
    masked: bool = True,
) -> dict[str, int]:
    """Bytes by part, at the moment of a step when they are most, on top of what is there between steps.

    `model` is on `meta`, in the type of the arithmetic, and stands for one on `device`. A micro-batch has `sequences`
    of `length` tokens. `masked`, it is given a mask that is ready to be used, which most models need on `meta`: others
    have layers that can take none. The model is of no further use, even where this raises whatever torch does.
    """
    by_bounds = isolation(model.config).ways[:1] == ("bounds",)
    if by_bounds:
        model.set_attn_implementation(_attention(device))
    CHUNK_LOGITS["meta"] = CHUNK_LOGITS[device]
    head = LossHead.of(model) if chunked else None
    meter = Meter([*model.parameters(), *model.buffers()], device)
    sharding = Sharding(model, spread, meter)

    whole = (1, 1, 1, 1) if by_bounds else (sequences, 1, length, length)
    mask = torch.empty(whole, dtype=next(model.parameters()).dtype, device="meta")

    def reach_the_head(*_: Any) -> None:
        meter.part = LOGITS

    def hand_on(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        # transformers looks at no mask of four dimensions, nor at the numbers, which are not there.
        return args, {**kwargs, "attention_mask": mask}

    model.get_output_embeddings().register_forward_pre_hook(reach_the_head)
    if masked:
        model.register_forward_pre_hook(hand_on, with_kwargs=True)
    with meter:
        total, losses = next_token_losses(model, _batch(sequences, length), head)
        total.backward()  # type: ignore[no-untyped-call]
        del total, losses
        sharding.finish()
    return meter.peak


def dry_run_update(optimizer: torch.optim.Optimizer, device: Literal["cpu", "cuda"]) -> int:
    """The most bytes that a step of an optimizer makes and gives up, whose parameters and gradients are on `meta`."""
    held = [tensor for state in optimizer.state.values() for tensor in state.values()]
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
            held += [parameter, parameter.grad]
    optimizer.found_inf = torch.empty((), device="meta")  # type: ignore[attr-defined]
    with Meter(held, device) as meter:
        optimizer.step()
    return sum(meter.peak.values())


def _batch(sequences: int, length: int) -> Batch:
    tokens = torch.empty(sequences, length, dtype=torch.int64, device="meta")
    bounds = torch.empty(sequences + 1, dtype=torch.int32, device="meta")
    return Batch(tokens, torch.empty_like(tokens), torch.empty_like(tokens), bounds)


def _attention(device: str) -> str:
    """Registers an attention that allocates what that of training does, of one document a sequence, under this name."""
    name = f"dry run on {device}"

    def attend(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        batch, _, length, _ = query.shape
        query, key, value = (part.transpose(1, 2).flatten(0, 1) for part in (query, key, value))
        if device == "cuda":
            bounds = torch.empty(batch + 1, dtype=torch.int32, device="meta")
            seen = varlen_attn(query, key, value, bounds, bounds, length, length, window_size=(-1, 0), enable_gqa=True)
            assert isinstance(seen, torch.Tensor)
        else:
            parts = zip(*(torch.split(part, length) for part in (query, key, value)), strict=True)
            seen = torch.cat([_on_cpu(*part) for part in parts])
        return seen.view(batch, length, *seen.shape[1:]), None

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, lambda *_, **__: None)
    return name


def _on_cpu(*parts: torch.Tensor) -> torch.Tensor:
    """Attention [length, heads, size] of one document, by the operator that a CPU would choose."""
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    seen: torch.Tensor = attend(*(part.transpose(0, 1)[None] for part in parts), is_causal=True)[0]
    return seen[0].transpose(0, 1)
