"""`sapwood expand`: a model with more blocks that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sapwood.cli.common import ModelArgument
from sapwood.progress import console


def expand(
    model: ModelArgument,
    blocks: Annotated[int, typer.Option(metavar="N", help="How many blocks to insert, evenly spread.", min=1)],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The directory to write the new model into.")],
) -> None:
    """Insert copies of blocks that change nothing until they are trained, so that the old ones can stay as they are."""
    from sapwood.pipeline.base_model import expand as expand_model

    expanded = expand_model(model, blocks, output)
    console.print(
        f"Blocks: {expanded.blocks_before:,} before, {expanded.blocks:,} now. Parameters: "
        f"{expanded.parameters_before:,} before, {expanded.parameters:,} now. In {expanded.seconds:,.0f} s.\n"
        f"The model is in {output}. In the recipe, train the new blocks alone:\n"
        f"  model: {output.resolve()}\n"
        f"  training: {{trainable: [{', '.join(expanded.trainable)}]}}"
    )
