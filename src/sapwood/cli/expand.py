"""`sapwood expand`: a model with more blocks that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import ModelArgument
from sapwood.pipeline.locking import writing
from sapwood.progress import console


def expand(
    model: ModelArgument,
    blocks: Annotated[int, typer.Option(metavar="N", help="How many blocks to insert, evenly spread.", min=1)],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The directory to write the new model into.")],
) -> None:
    """Insert copies of blocks that change nothing until they are trained, so that the old ones can stay as they are."""
    from sapwood.backbone.expand import expand as expand_model

    with writing(output, replaced=True):
        manifest, names = expand_model(resolve(model, default_cache()), output, blocks)
    counts = manifest.counts
    patterns = ", ".join(f"{name}.*" for name in names)
    console.print(
        f"Blocks: {counts['blocks_before']:,} before, {counts['blocks']:,} now. Parameters: "
        f"{counts['parameters_before']:,} before, {counts['parameters']:,} now. In {manifest.seconds:,.0f} s.\n"
        f"The model is in {output}. In the recipe, train the new blocks alone:\n"
        f"  model: {output.resolve()}\n"
        f"  training: {{trainable: [{patterns}]}}"
    )
