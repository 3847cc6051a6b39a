"""What a plan will take: memory on every GPU, operations, hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sapwood.backbone.resolve import at_hand, default_cache
from sapwood.cli.output import Output, print_note
from sapwood.errors import SapwoodError, closest
from sapwood.mixture.plan import Plan
from sapwood.recipe import Recipe
from sapwood.recipe.schema import Adapter, Training
from sapwood.recipe.units import parse_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.training.footprint import Footprint, Machine

GpuOption = Annotated[
    str | None, typer.Option("--gpu", metavar="NAME", help="The GPU to plan for, such as H100 or 'A100 40GB'.")
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="The memory of a GPU, such as 80GiB.")
]
GpusOption = Annotated[int | None, typer.Option("--gpus", min=1, help="How many GPUs train; 1 unless said otherwise.")]
PerNodeOption = Annotated[int, typer.Option("--gpus-per-node", min=1, help="How many GPUs a machine has.")]
UtilisationOption = Annotated[
    float, typer.Option("--mfu", min=0.01, max=1, help="The share of a GPU's peak that training is assumed to reach.")
]
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
            raise SapwoodError(f"--memory {self.memory}: {error}") from None
        chip = None if self.gpu is None else find_chip(self.gpu)
        if self.gpu is not None and chip is None:
            near = closest(self.gpu, [known.name for known in CHIPS])
            raise SapwoodError(f"--gpu {self.gpu}: this GPU is not known here. {near} Or give its --memory.")
        if self.gpu is None and memory is None and torch.cuda.is_available():
            chip = find_chip(torch.cuda.get_device_name())
            memory = torch.cuda.get_device_properties(0).total_memory
        elif self.gpu is None and memory is None and self.gpus is None:
            return Machine(device="cpu")
        if chip is not None and memory is None:
            memory = chip.memory * GIB
        return Machine(ranks, min(ranks, self.per_node), "cuda", chip, memory)


def print_cost(recipe: Recipe, plan: Plan, hardware: Hardware) -> bool:
    """Prints memory, operations and hours. False where the user named a GPU and the run does not fit it."""
    console = Output()
    directory = at_hand(recipe.model, default_cache())
    if directory is None:
        console.print(
            "\nThe memory and the operations that it takes are not known before "
            + (
                "the GGUF file is converted, which `sapwood prepare` does first."
                if recipe.model.endswith(".gguf")
                else "the model is on this machine. Of a model on the hub the configuration is enough: "
                "`hf download NAME config.json`."
            ),
            soft_wrap=True,
        )
        return True
    machine = hardware.machine()
    from sapwood.training.footprint import DryRunError, predict

    operations = _operations(directory, recipe, plan, machine)
    fits = True
    try:
        footprint = predict(directory, recipe, machine)
        fits = machine.usable is None or footprint.total <= machine.usable
        _print_memory(console, footprint, machine)
    except DryRunError as error:
        console.print()
        print_note(console, f"the memory it takes is not known. {error}")
    if not fits:
        console.print(_remedy(directory, recipe, machine), style="red", soft_wrap=True)
    if isinstance(operations, str):
        console.print(f"\nThe floating point operations it takes are not counted: {operations}.", soft_wrap=True)
    else:
        _print_time(console, recipe, plan, machine, operations, hardware.utilisation)
    return fits or not (hardware.gpu or hardware.memory)


def _print_memory(console: Console, footprint: Footprint, machine: Machine) -> None:
    name = machine.chip.name if machine.chip else "GPU"
    where = f"each of {machine.ranks} × {name}" if machine.ranks > 1 else f"the {name}"
    if machine.device == "cpu":
        where = "the process"
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column(f"memory of {where}, stage '{footprint.stage}'", no_wrap=True)
    table.add_column("GiB", justify="right")
    for part, size in sorted(footprint.device.items(), key=lambda item: -item[1]):
        table.add_row(f"  {part}", f"{size / GIB:.2f}")
    table.add_row("in all, at its peak", f"{footprint.total / GIB:.2f}", style="bold")
    if machine.usable is not None and machine.memory is not None:
        fits = footprint.total <= machine.usable
        verdict = ("fits", "") if fits else ("does not fit", "red")
        usable = Text.assemble(f"usable of {machine.memory / GIB:.0f} GiB: it ", verdict)
        table.add_row(usable, f"{machine.usable / GIB:.2f}")
    for part, size in footprint.host.items():
        table.add_row(f"beside it, in the host: {part}", f"{size / GIB:.2f}", style="dim")
    console.print()
    console.print(table)


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


def _remedy(directory: Path, recipe: Recipe, machine: Machine) -> str:
    """What to change so that the run fits, found by trying: as few changes as are needed."""
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
            last = dict(changes)  # `full` comes after `selective`, and replaces it
            return (
                f"It would fit with {' '.join(f'training.{name}={str(value).lower()}' for name, value in last.items())}"
            )
    return "It would not fit with any of what takes less memory: take more GPUs, or larger ones, or shorter sequences."


def _changed(training: Training, changes: list[tuple[str, Any]]) -> Training:
    for name, value in changes:
        outer, _, inner = name.rpartition(".")
        if outer:
            value = (getattr(training, outer) or Adapter()).model_copy(update={inner: value})
        training = training.model_copy(update={outer or inner: value})
    return training


def _print_time(
    console: Console, recipe: Recipe, plan: Plan, machine: Machine, operations: int, utilisation: float
) -> None:
    console.print(
        f"\n{operations:.3g} floating point operations in all, {operations / plan.tokens:.3g} a token", soft_wrap=True
    )
    peak = machine.chip and machine.chip.peak(recipe.training.precision)
    if not peak:
        return
    hours = operations / (peak * utilisation) / 3600
    on = f", {hours / machine.ranks:,.1f} hours on {machine.ranks}" if machine.ranks > 1 else ""
    console.print(
        f"At {utilisation:.0%} of the peak, which is an assumption (--mfu): {hours:,.1f} GPU-hours{on}", soft_wrap=True
    )
