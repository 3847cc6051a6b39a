"""`sapwood merge`: averages of a run's weights, and weights between the base model and the adapted model, all
measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from sapwood.cli.common import RunArgument, open_run
from sapwood.cli.output import Output
from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import mean_change
from sapwood.evaluation.merged import Point
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.schema import DecayShape
from sapwood.recipe.units import parse_share
from sapwood.report.merge import CAUTION
from sapwood.report.table import NOTHING, Cell, Table, margin
from sapwood.report.wording import confidence, listed, percent, rate, short
from sapwood.statistics.change import Aim, Change

if TYPE_CHECKING:
    from sapwood.pipeline.merge import MergeResult


def merge(
    run: RunArgument,
    last: Annotated[int | None, typer.Option(metavar="N", min=2, help="Average the last N checkpoints.")] = None,
    decay: Annotated[
        DecayShape | None,
        typer.Option(help="Weigh them to stand for this decay of the learning rate; if not given, all count alike."),
    ] = None,
    ema: Annotated[bool, typer.Option("--ema", help="Take the moving average that `training.ema` keeps.")] = False,
    with_base: Annotated[
        str | None,
        typer.Option(metavar="SHARES", help="Go only so far from the base model to them, such as 0.25,0.5,0.75,1."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the model as a new directory.")] = None,
) -> None:
    """Average a run's weights, or mix them with the base model's, and measure what comes of it.

    Without --last and --ema, the weights are those of the last checkpoint.
    """
    from sapwood.pipeline.merge import merge as merge_weights  # it imports scipy

    shares = _shares(with_base) if with_base else None
    result = merge_weights(run, last=last, decay=decay, ema=ema, with_base=shares, output=output)
    if result is None:
        return  # the first rank has it
    if last is not None:
        _print_averaged(result)
    _print_points(open_run(run, None, run.parent).recipe, result.points)
    console.print(f"\n{CAUTION}\nAll points: {result.page}")
    if result.model is not None:
        console.print(f"Model: {result.model}")


def _shares(text: str) -> list[float]:
    try:
        return [float(parse_share(part.strip())) for part in text.split(",")]
    except ValueError as error:
        raise SapwoodError(f"--with-base {text}: {error}") from None


def _print_averaged(result: MergeResult) -> None:
    """How much each checkpoint counts, and what else happened between them: the rate moved, or a stage began."""
    oldest, newest = result.averaged[0], result.averaged[-1]
    console.print(
        f"{len(result.averaged)} checkpoints over {short(newest.tokens - oldest.tokens)} tokens, at learning rates "
        f"from {rate(oldest.learning_rate)} to {rate(newest.learning_rate)}. They count "
        f"{listed([percent(checkpoint.weight) for checkpoint in result.averaged])}."
    )
    if result.stages is not None:
        first, last = result.stages
        console.print(
            f"They reach back into stage '{first}': what '{last}' alone teaches counts for less.", style="yellow"
        )


def _print_points(recipe: Recipe, points: Sequence[Point]) -> None:
    """Two tables of mean changes: since the base model, and against the last weights."""
    level = confidence(recipe.evaluation.confidence)
    table = _table(
        f"Bits per byte of held-out text since the base model, ± {level} interval; above zero is better", "met"
    )
    for point in points:
        _add(table, recipe, point, point.since_backbone, point.met)
    terminal = Output(stderr=True)
    terminal.print(table)
    if others := [point for point in points if not point.is_reference]:
        table = _table("The same against the last weights")
        for point in others:
            _add(table, recipe, point, point.since_last)
        terminal.print(table)


def _table(title: str, *more: str) -> Table:
    return Table("weights", "share", "gain", "retention", *more, title=title)


def _add(table: Table, recipe: Recipe, point: Point, changes: tuple[Change, ...], *more: str) -> None:
    cells = []
    for aim in get_args(Aim):
        change = mean_change(changes, aim)
        if change is None:
            cells.append(NOTHING)
        else:
            cells.append(margin(change.value, change.interval(recipe.evaluation.confidence)[1] - change.value))
    table.add(point.name, Cell(f"{point.share:g}", point.share, is_number=True), *cells, *more)
