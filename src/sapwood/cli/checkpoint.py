"""`sapwood checkpoint`: the saved states of a run, and the model of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption, open_run
from sapwood.cli.output import Output, with_json
from sapwood.progress import console
from sapwood.report.table import Table, count, number

checkpoint = typer.Typer(help="The saved states of a run: which there are, whether they are whole, and their models.")


@checkpoint.command("list")
@with_json
def list_checkpoints(recipe: RecipeArgument, runs: RunsOption = RUNS) -> None:
    """Show the checkpoints of a run, and whether every file of them is what was written."""
    from sapwood.pipeline.checkpoints import list_checkpoints as saved_states

    found = saved_states(open_run(recipe, None, runs))
    table = Table("checkpoint", "tokens", "files", "GiB", "state", folded=("state",))
    for state in found:
        amounts = count(state.tokens), count(state.files), number(state.size / 2**30, 2)
        table.add(state.path.name, *amounts, state.damage or "whole", tone="bad" if state.damage else "")
    Output().print(table)
    if any(state.damage for state in found):
        raise typer.Exit(1)


@checkpoint.command("export")
def export_checkpoint(
    recipe: RecipeArgument,
    name: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Such as step-00000120.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The directory to write.")],
    runs: RunsOption = RUNS,
    dtype: Annotated[
        Literal["bf16", "fp16", "fp32"] | None,
        typer.Option(help="The type of the weights; the base model's by default."),
    ] = None,
) -> None:
    """Write the model of a checkpoint as a Hugging Face directory, one file of weights at a time."""
    from sapwood.pipeline.checkpoints import export_checkpoint as export_model

    export_model(open_run(recipe, None, runs), name, output, dtype=dtype)
    console.print(f"The model after {name} is in {output}.")
