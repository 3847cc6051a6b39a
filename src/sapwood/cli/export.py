"""`sapwood export`: the decided stream as files that other trainers read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption
from sapwood.errors import SapwoodError, closest
from sapwood.mixture.decided import DecidedRun, open_run
from sapwood.pipeline.locking import writing
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
    from sapwood.mixture.export.shards import export_stream, trained_digest
    from sapwood.training.probe import isolation_elsewhere  # it imports torch

    if stage is not None and tokens is not None:
        raise SapwoodError("--stage and --tokens exclude each other: write one of them.")
    wanted = None if tokens is None else _tokens("--tokens", tokens)
    size = _tokens("--shard-tokens", shard_tokens)
    _, place = open_run(recipe, overrides, runs)
    directory = place.root / "export" / form if output is None else output
    with writing(place.root):
        run = DecidedRun.open(recipe, overrides or (), runs)
        start, stop = _positions(run, stage, wanted)
        with writing(directory):
            account = export_stream(run, directory, form, start, stop, size, isolation_elsewhere(run.recipe))
    console.print(
        f"{account['tokens']:,} tokens in {stop - start:,} sequences, digest {account['digest']}, are in {directory}."
    )
    trained = trained_digest(run, start, stop)
    if trained is not None:
        steps, found = trained
        if found != account["digest"]:
            raise SapwoodError(
                f"But the {steps:,} steps that trained on these positions read something else, with the digest {found}."
            )
        console.print(f"It is, to the token, what {steps:,} steps have trained on.")


def _positions(run: DecidedRun, stage: str | None, tokens: int | None) -> tuple[int, int]:
    """The positions asked for, as far as they are decided; says so where that is not all."""
    rounds = run.ledger.rounds if stage is None else run.ledger.of_stage(stage)
    planned = {part.name: part for part in run.plan.stages}
    if stage is not None and stage not in planned:
        raise SapwoodError(f"The recipe has no stage '{stage}'. {closest(stage, planned)}")
    if not rounds:
        what = "Nothing" if stage is None else f"Nothing of stage '{stage}'"
        raise SapwoodError(
            f"{what} is decided yet: the mixture follows losses, which training measures. `sapwood train` decides "
            "round after round; what it has decided can be exported."
        )
    start, stop = rounds[0].start, rounds[-1].stop
    total = run.plan.tokens if stage is None else planned[stage].sequences * planned[stage].sequence_length
    if tokens is not None:
        total = min(tokens, total)
        while stop > start and run.ledger.tokens_until(stop) > tokens:
            entry = next(entry for entry in rounds if entry.start < stop <= entry.stop)
            fit = (tokens - entry.start_tokens) // entry.sequence_length
            stop = entry.start + max(0, min(fit, stop - entry.start))
        if stop == start:
            raise SapwoodError(f"--tokens {tokens} is less than one sequence of {rounds[0].sequence_length} tokens.")
    got = run.ledger.tokens_until(stop) - run.ledger.tokens_until(start)
    ended = run.is_over if stage is None else stage in run.ledger.ended or run.ledger.decided > stop
    if total - got >= rounds[-1].sequence_length and not ended:
        console.print(
            f"Only {got:,} of {total:,} tokens are decided: what follows depends on losses, which training measures."
        )
    return start, stop


def _tokens(option: str, text: str) -> int:
    try:
        number = parse_tokens(text)
    except ValueError as error:
        raise SapwoodError(f"{option} {text}: {error}") from None
    if not number:
        raise SapwoodError(f"{option} is 0: write how many tokens, such as 256M.")
    return number
