"""`sapwood checkpoint`: the saved states of a run, and the model of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption
from sapwood.cli.output import Output, with_json
from sapwood.errors import SapwoodError
from sapwood.mixture.decided import open_run
from sapwood.pipeline.locking import writing
from sapwood.progress import console

checkpoint = typer.Typer(help="The saved states of a run: which there are, whether they are whole, and their models.")


@checkpoint.command("list")
@with_json
def list_checkpoints(recipe: RecipeArgument, runs: RunsOption = RUNS) -> None:
    """Show the checkpoints of a run, and whether every file of them is what was written."""
    from sapwood.training.checkpoint import checkpoints, files_of, read_state, verify

    _, run = open_run(recipe, None, runs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("checkpoint", "tokens", "files", "GiB", "state"):
        table.add_column(title, justify="left" if title in ("checkpoint", "state") else "right")
    damaged = False
    for path in checkpoints(run.checkpoints):
        try:
            verify(path)
            state = "whole"
        except SapwoodError as error:
            state, damaged = str(error), True
        files = [path / name for name in files_of(path)]
        size = sum(file.stat().st_size for file in files if file.exists()) / 2**30
        table.add_row(path.name, f"{read_state(path).tokens:,}", str(len(files)), f"{size:.2f}", state)
    if not table.row_count:
        raise SapwoodError(f"{run.checkpoints} holds no checkpoint.")
    Output().print(table)
    if damaged:
        raise typer.Exit(1)


@checkpoint.command("export")
def export_checkpoint(
    recipe: RecipeArgument,
    name: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Such as step-00000120.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The directory to write.")],
    runs: RunsOption = RUNS,
    dtype: Annotated[
        Literal["bf16", "fp16", "fp32"] | None,
        typer.Option(help="The type of the weights; the backbone's by default."),
    ] = None,
) -> None:
    """Write the model of a checkpoint as a Hugging Face directory, one file of weights at a time."""
    import torch

    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.training.checkpoint import find_checkpoint
    from sapwood.training.grown import export_grown

    loaded, run = open_run(recipe, None, runs)
    path = find_checkpoint(run.checkpoints, name)
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    backbone = resolve(loaded.model, default_cache())
    with writing(output, replaced=True):
        export_grown(loaded, backbone, path, output, dtypes[dtype] if dtype else None)
    console.print(f"The model after {name} is in {output}.")
