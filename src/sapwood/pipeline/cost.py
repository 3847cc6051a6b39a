"""What a plan will take: memory on every GPU, operations, hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sapwood.errors import SapwoodError, argument, closest
from sapwood.mixture.plan import Plan
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Adapter, Training
from sapwood.recipe.units import parse_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.training.footprint import Footprint, Machine

GIB = 2**30
CHANGES: tuple[tuple[str, Any], ...] = (
    ("micro_batch", 1),
    ("parallel.reduce", "micro-batch"),
    ("parallel.sharding", "full"),
    ("activation_checkpointing", "selective"),
    ("activation_checkpointing", "full"),
    ("optimizer.kind", "adamw-8bit"),
    ("parallel.offload", True),
    ("adapter.rank", 16),
)
"""What in `training` takes less memory, beginning with what costs least; the last changes what is learned."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the user says of it."""

    gpu: str | None
    memory: str | None
    gpus: int | None
    per_node: int
    utilisation: float

    @property
    def is_named(self) -> bool:
        """Whether it is another machine than this one."""
        return self.gpu is not None or self.memory is not None or self.gpus is not None

    def machine(self) -> Machine:
        """The GPUs that are named, or else this machine. Raises SapwoodError for an unknown GPU."""
        import torch

        from sapwood.device.chips import CHIPS, find_chip
        from sapwood.training.footprint import Machine

        ranks = self.gpus or 1
        try:
            memory = None if self.memory is None else parse_bytes(self.memory)
        except ValueError as error:
            raise SapwoodError(f"{argument('memory', self.memory)}: {error}") from None
        chip = None if self.gpu is None else find_chip(self.gpu)
        if self.gpu is not None and chip is None:
            near = closest(self.gpu, [known.name for known in CHIPS])
            raise SapwoodError(
                f"{argument('gpu', self.gpu)}: this GPU is not known here. {near} Or give its {argument('memory')}."
            )
        if self.gpu is None and memory is None and torch.cuda.is_available():
            chip = find_chip(torch.cuda.get_device_name())
            memory = torch.cuda.get_device_properties(0).total_memory
        elif self.gpu is None and memory is None and self.gpus is None:
            return Machine(device="cpu")
        if chip is not None and memory is None:
            memory = chip.memory * GIB
        return Machine(ranks, min(ranks, self.per_node), "cuda", chip, memory)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a plan will take."""

    machine: Machine
    tokens: int
    footprint: Footprint | None
    """The memory of a rank; None where it is not known."""
    memory_unknown: str
    """Why it is not."""
    operations: int | None
    """Floating point operations of the whole run; None where they are not counted."""
    uncounted: str
    """Why they are not."""
    remedy: tuple[tuple[str, Any], ...]
    """The fewest changes of `training` with which a run fits that does not; none where nothing helps."""
    hours: float | None
    """GPU-hours at the share of the peak that is assumed; None where the peak or the operations are not known."""

    @property
    def fits(self) -> bool:
        """Whether a rank is not known to need more memory than its GPU has."""
        usable = self.machine.usable
        return self.footprint is None or usable is None or self.footprint.total <= usable


def estimate_cost(directory: Path, recipe: Recipe, plan: Plan, hardware: Hardware) -> CostEstimate:
    """What a plan takes on a machine. `directory` holds the model's configuration; weights are not needed.

    Raises SapwoodError where the GPU is not known, or the recipe asks for what the model does not have.
    """
    from sapwood.training.footprint import DryRunError, predict

    machine = hardware.machine()
    counted = _operations(directory, recipe, plan, machine)
    operations, uncounted = (counted, "") if isinstance(counted, int) else (None, counted)
    footprint: Footprint | None = None
    unknown, remedy = "", tuple[tuple[str, Any], ...]()
    try:
        footprint = predict(directory, recipe, machine)
    except DryRunError as error:
        unknown = str(error)
    if footprint is not None and machine.usable is not None and footprint.total > machine.usable:
        remedy = _remedy(directory, recipe, machine)
    peak = machine.chip and machine.chip.peak(recipe.training.precision)
    return CostEstimate(
        machine=machine,
        tokens=plan.tokens,
        footprint=footprint,
        memory_unknown=unknown,
        operations=operations,
        uncounted=uncounted,
        remedy=remedy,
        hours=operations / (peak * hardware.utilisation) / 3600 if peak and operations is not None else None,
    )


def _operations(directory: Path, recipe: Recipe, plan: Plan, machine: Machine) -> int | str:
    """Operations of the whole run, or why they are not known."""
    from sapwood.backbone.load import load_config
    from sapwood.training.flops import flops_per_token, uncounted
    from sapwood.training.footprint import arithmetic_of, shapes

    config = load_config(directory)
    total = 0
    for stage, planned in zip(recipe.stages, plan.stages, strict=True):
        model = shapes(config, recipe, stage, arithmetic_of(recipe, machine))
        reason, flops = uncounted(model), flops_per_token(model, planned.sequence_length)
        if reason is not None or flops is None:
            return str(reason)
        total += flops * (planned.stop_tokens - planned.start_tokens)
    return total


def _remedy(directory: Path, recipe: Recipe, machine: Machine) -> tuple[tuple[str, Any], ...]:
    """What to change so that the run fits, found by trying: as few changes as are needed; none where nothing helps."""
    from sapwood.training.footprint import predict

    assert machine.usable is not None
    usable = machine.usable

    def fits(changes: list[tuple[str, Any]]) -> bool:
        changed = recipe.model_copy(update={"training": _changed(recipe.training, changes)})
        try:
            return predict(directory, changed, machine).total <= usable
        except SapwoodError:  # an adapter, where PEFT is not installed
            return False

    useless = [("activation_checkpointing", "selective")] if recipe.training.activation_checkpointing == "full" else []
    changes: list[tuple[str, Any]] = []
    for change in CHANGES:
        if _changed(recipe.training, [change]) == recipe.training or change in useless:
            continue
        changes.append(change)
        if fits(changes):
            for dispensable in changes[:-1]:
                fewer = [other for other in changes if other is not dispensable]
                changes = fewer if fits(fewer) else changes
            return tuple(dict(changes).items())  # `full` comes after `selective`, and replaces it
    return ()


def _changed(training: Training, changes: list[tuple[str, Any]]) -> Training:
    for name, value in changes:
        outer, _, inner = name.rpartition(".")
        if outer:
            value = (getattr(training, outer) or Adapter()).model_copy(update={inner: value})
        training = training.model_copy(update={outer or inner: value})
    return training
