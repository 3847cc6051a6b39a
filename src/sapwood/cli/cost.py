"""How `sapwood plan` shows what a plan will take: memory on every GPU, operations, hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sapwood.cli.output import Output, print_note
from sapwood.recipe import Recipe
from sapwood.report.table import Table, number

if TYPE_CHECKING:
    from sapwood.pipeline.cost import CostEstimate
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


def print_cost(found: CostEstimate, utilisation: float) -> None:
    """Prints memory, operations and hours."""
    console = Output()
    if found.footprint is None:
        console.print()
        print_note(console, f"the memory it takes is not known. {found.memory_unknown}")
    else:
        _print_memory(console, found.footprint, found.machine)
    if not found.fits:
        console.print(_remedy(found), style="red", soft_wrap=True)
    if found.operations is None:
        console.print(f"\nThe floating point operations it takes are not counted: {found.uncounted}.", soft_wrap=True)
        return
    each = found.operations / found.tokens
    console.print(
        f"\n{found.operations:.3g} floating point operations in all, {each:.3g} a token",
        soft_wrap=True,
    )
    if found.hours is not None:
        ranks = found.machine.ranks
        on = f", {found.hours / ranks:,.1f} hours on {ranks}" if ranks > 1 else ""
        console.print(
            f"At {utilisation:.0%} of the peak, which is an assumption (--mfu): {found.hours:,.1f} GPU-hours{on}",
            soft_wrap=True,
        )


def print_absent_model(recipe: Recipe) -> None:
    """Says why nothing is known of the cost of a plan whose model is not at hand."""
    Output().print(
        "\nThe memory and the operations that it takes are not known before "
        + (
            "the GGUF file is converted, which `sapwood prepare` does first."
            if recipe.model.endswith(".gguf")
            else "the model is on this machine. Of a model on the hub the configuration is enough: "
            "`hf download NAME config.json`."
        ),
        soft_wrap=True,
    )


def _print_memory(console: Console, footprint: Footprint, machine: Machine) -> None:
    name = machine.chip.name if machine.chip else "GPU"
    where = f"each of {machine.ranks} × {name}" if machine.ranks > 1 else f"the {name}"
    if machine.device == "cpu":
        where = "the process"
    table = Table(f"memory of {where}, stage '{footprint.stage}'", "GiB")
    for part, size in sorted(footprint.device.items(), key=lambda item: -item[1]):
        table.add(part, number(size / GIB, 2), depth=1)
    table.add("in all, at its peak", number(footprint.total / GIB, 2), tone="strong")
    if machine.usable is not None and machine.memory is not None:
        fits = footprint.total <= machine.usable
        usable = f"usable of {machine.memory / GIB:.0f} GiB: it {'fits' if fits else 'does not fit'}"
        table.add(usable, number(machine.usable / GIB, 2), tone="" if fits else "bad")
    for part, size in footprint.host.items():
        table.add(f"beside it, in the host: {part}", number(size / GIB, 2), tone="dim")
    console.print()
    console.print(table)


def _remedy(found: CostEstimate) -> str:
    if not found.remedy:
        return (
            "It would not fit with any of what takes less memory: take more GPUs, or larger ones, or shorter sequences."
        )
    return f"It would fit with {' '.join(f'training.{name}={str(value).lower()}' for name, value in found.remedy)}"
