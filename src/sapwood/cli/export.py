"""`sapwood export`: the decided stream as files that other trainers read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption
from sapwood.errors import SapwoodError
from sapwood.progress import console
from sapwood.recipe.units import parse_tokens


def export(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    form: Annotated[
        Literal["megatron", "parquet"], typer.Option("--format", help="Megatron's .bin and .idx, or Parquet.")
    ] = "parquet",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="The directory to write; if not given, RUN/export/FORMAT."),
    ] = None,
    stage: Annotated[str | None, typer.Option(metavar="NAME", help="Only this stage.")] = None,
    tokens: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Only so much from the beginning, in whole sequences.")
    ] = None,
    shard_tokens: Annotated[str, typer.Option(metavar="TOKENS", help="The most that one file holds.")] = "256M",
) -> None:
    """Write the sequences of a prepared run, in their order. Run again, it continues where it stopped."""
    from sapwood.pipeline.export import export as export_stream  # it imports what reads shards

    exported = export_stream(
        recipe,
        overrides or (),
        runs,
        form=form,
        output=output,
        stage=stage,
        tokens=None if tokens is None else _tokens("--tokens", tokens),
        shard_tokens=_tokens("--shard-tokens", shard_tokens),
    )
    if exported.waits:
        console.print(
            f"Only {exported.tokens:,} of {exported.wanted:,} tokens are decided: what follows depends on losses, "
            "which training measures."
        )
    console.print(
        f"{exported.tokens:,} tokens in {exported.sequences:,} sequences, digest {exported.digest}, are in "
        f"{exported.directory}."
    )
    if exported.steps is not None:
        console.print(f"It is, to the token, what {exported.steps:,} steps have trained on.")


def _tokens(option: str, text: str) -> int:
    try:
        number = parse_tokens(text)
    except ValueError as error:
        raise SapwoodError(f"{option} {text}: {error}") from None
    if not number:
        raise SapwoodError(f"{option} is 0: write how many tokens, such as 256M.")
    return number
