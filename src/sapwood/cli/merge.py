"""`sapwood merge`: averages of a run's weights, and weights between the backbone and the grown model, all measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from sapwood.cli.common import RunArgument
from sapwood.cli.output import Output
from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import Finding, mean_change
from sapwood.evaluation.merged import Point, label_of, read_points
from sapwood.files import fingerprint
from sapwood.mixture.decided import open_run
from sapwood.mixture.ledger import Ledger
from sapwood.pipeline.evaluate import evaluate_base, measure_model
from sapwood.pipeline.locking import writing
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.schema import DecayShape
from sapwood.recipe.units import parse_share
from sapwood.report.merge import CAUTION, write_merge_page
from sapwood.report.wording import confidence, listed, number, percent, rate, short, signed
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import hold

if TYPE_CHECKING:
    from sapwood.training.average import Merged


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
        typer.Option(metavar="SHARES", help="Go only so far from the backbone to them, such as 0.25,0.5,0.75,1."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the model as a new directory.")] = None,
) -> None:
    """Average a run's weights, or mix them with the backbone's, and measure what comes of it.

    Without --last and --ema, the weights are those of the last checkpoint.
    """
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.ranks import Ranks
    from sapwood.training.average import Merged
    from sapwood.training.checkpoint import read_state

    shares = _shares(with_base) if with_base else [1.0]
    _check(last, decay, ema, with_base, output, shares)
    recipe, directory = open_run(run, None, run.parent)
    backbone = resolve(recipe.model, default_cache())
    saved = _checkpoints(directory, last or 1)
    newest = read_state(saved[-1])
    last_weights = Merged.of(recipe, backbone, saved[-1:], None)
    merged = Merged.ema(recipe, backbone, saved[-1]) if ema else Merged.of(recipe, backbone, saved, decay)
    if last is not None:
        _print_counts(merged, Ledger(directory.ledger, writable=False))
    with writing(directory.root):
        base = evaluate_base(recipe, directory)
        for part, share in [(last_weights, 1.0), *((merged, share) for share in shares)]:
            label, identity = label_of(newest.name, part.series, share), fingerprint([base.model, part.identity, share])
            load = partial(part.model, share)
            measure_model(recipe, directory, load, label, identity, tokens=newest.tokens, in_full=False)
        if not Ranks.join().first:
            return
        points = read_points(recipe, directory.evaluation, newest.name, base)
        _print_points(recipe, points)
        console.print(f"\n{CAUTION}\nAll points: {write_merge_page(recipe, directory.root, points)}")
    if output is not None:
        with hold(output, replaced=True):
            merged.write(shares[0], output)
        console.print(f"Model: {output}")


def _check(
    last: int | None,
    decay: str | None,
    ema: bool,
    with_base: str | None,
    output: Path | None,
    shares: Sequence[float],
) -> None:
    if last is None and not ema and with_base is None:
        raise SapwoodError("Write what to merge: --last 8, --ema, or --with-base 0.25,0.5,0.75,1.")
    if last is not None and ema:
        raise SapwoodError("--last and --ema exclude each other: write one of them.")
    if decay is not None and last is None:
        raise SapwoodError("--decay weighs checkpoints: write over how many, such as --last 8.")
    if output is not None and output.exists():
        raise SapwoodError(f"There is something at {output}: name a directory that does not exist yet.")
    if output is not None and len(shares) > 1:
        raise SapwoodError(f"--output writes one model, and --with-base names {len(shares)}: choose one by the table.")


def _shares(text: str) -> list[float]:
    try:
        shares = sorted({float(parse_share(part.strip())) for part in text.split(",")})
    except ValueError as error:
        raise SapwoodError(f"--with-base {text}: {error}") from None
    if not 0 < shares[0] <= shares[-1] <= 1:
        raise SapwoodError(f"--with-base {text}: shares lie above 0 (the backbone) and go to 1 (the merged weights).")
    return shares


def _checkpoints(run: RunDirectory, count: int) -> list[Path]:
    """The newest `count` checkpoints of a run, oldest first."""
    from sapwood.training.checkpoint import checkpoints

    saved = checkpoints(run.checkpoints)
    if len(saved) < count:
        raise SapwoodError(
            f"{run.checkpoints} holds {len(saved)} of the {count} checkpoints that are to be merged. How many are kept "
            "is said by `training.checkpoints.keep`."
        )
    return saved[-count:]


def _print_counts(merged: Merged, ledger: Ledger) -> None:
    """How much each checkpoint counts, and what else happened between them: the rate moved, or a stage began."""
    from sapwood.training.checkpoint import read_state

    states = [read_state(checkpoint) for checkpoint in merged.counts]
    console.print(
        f"{len(states)} checkpoints over {short(states[-1].tokens - states[0].tokens)} tokens, at learning rates from "
        f"{rate(states[0].learning_rate)} to {rate(states[-1].learning_rate)}. They count "
        f"{listed([percent(weight) for weight in merged.counts.values()])}."
    )
    first, last = ledger.at(states[0].position), ledger.at(states[-1].position - 1)
    if first is not None and last is not None and first.stage != last.stage:
        console.print(
            f"They reach back into stage '{first.stage}': what '{last.stage}' alone teaches counts for less.",
            style="yellow",
        )


def _print_points(recipe: Recipe, points: Sequence[Point]) -> None:
    """Two tables of mean changes: since the backbone, and against the last weights."""
    level = confidence(recipe.evaluation.confidence)
    table = _table(f"Bits per byte of held-out text since the backbone, ± {level} interval; lower is better", "met")
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
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"\n{title}", title_justify="left")
    table.add_column("weights")
    for name in ("share", "gain", "retention", *more):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add(table: Table, recipe: Recipe, point: Point, findings: tuple[Finding, ...], *more: str) -> None:
    cells = []
    kinds: tuple[Literal["gain", "retention"], ...] = ("gain", "retention")
    for kind in kinds:
        change = mean_change(findings, kind)
        if change is None:
            cells.append("–")
        else:
            half = change.interval(recipe.evaluation.confidence)[1] - change.value
            cells.append(f"{signed(change.value)} ± {number(half)}")
    table.add_row(point.name, f"{point.share:g}", *cells, *more)
