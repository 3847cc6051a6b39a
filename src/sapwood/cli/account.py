"""`sapwood account`: where every token of a run came from and went to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption, open_run
from sapwood.cli.output import Output
from sapwood.errors import SapwoodError, closest
from sapwood.mixture.account import Account, Line, StageAccount, Stock
from sapwood.pipeline.ledger import account as read_account
from sapwood.report.table import UNKNOWN, Cell, Table, Tone, change, count, number

StageOption = Annotated[str | None, typer.Option("--stage", metavar="NAME", help="Show this stage alone.")]


def account(recipe: RecipeArgument, stage: StageOption = None, runs: RunsOption = RUNS) -> None:
    """Show where every token of a run came from and went to. The exit status is 1 when it does not balance."""
    run = open_run(recipe, None, runs)
    found = read_account(run)
    stages = [part for part in found.stages if stage is None or part.name == stage]
    if stage is not None and not stages:
        raise SapwoodError(f"There is no stage '{stage}'. {closest(stage, [part.name for part in found.stages])}")
    console = Output()
    if stage is None:
        _print_sources(console, found)
    for part in stages:
        _print_stage(console, part)
    for balance in found.off:
        console.print(str(balance), style="red", soft_wrap=True)
    if found.skipped:
        console.print(
            f"{found.skipped:,} of the tokens trained were read and skipped (training.guard): the ledger "
            f"names the steps, and {run.directory.skipped.name} the documents."
        )
    console.print(found.verdict, style="bold red" if found.off else "bold", soft_wrap=True)
    if found.off:
        raise typer.Exit(1)


def _print_sources(console: Console, account: Account) -> None:
    console.print(Text.assemble(("Tokens read", "bold"), " = to train on + held out + dropped"))
    table = Table("source", "read", "to train on", "held out", "dropped")
    rows = {
        source.name: (source.read, source.stock.prepared, source.held_out, source.dropped) for source in account.sources
    }
    for source in account.sources:
        name = f"{source.name} (evaluation only)" if source.evaluation_only else source.name
        table.add(name, *map(_count, rows[source.name]))
    _add_total(table, rows.values())
    console.print(table)
    for source in account.sources:
        for reason, documents in source.reasons.items():
            line = f"Dropped from {source.name}: {documents:,} document{'' if documents == 1 else 's'}, {reason}"
            console.print(line, style="dim", soft_wrap=True)

    console.print()
    title = "Tokens to train on", "bold"
    console.print(Text.assemble(title, " = trained at least once + waiting; repeated come on top"))
    table = Table("source", "to train on", "once", "waiting", "repeated", "epochs")
    trained_on = [source for source in account.sources if not source.evaluation_only]
    for source in trained_on:
        _add_stock(table, source.stock, source.name)
        for topic in source.topics:
            _add_stock(table, topic, topic.name, topic=True)
    _add_total(table, [_amounts(source.stock) for source in trained_on], None)
    console.print(table)
    console.print()


def _print_stage(console: Console, stage: StageAccount) -> None:
    state = "" if stage.begun else ", not begun"
    console.print(
        Text.assemble((f"Stage {stage.name}", "bold"), f": tokens in sequences of {stage.sequence_length:,}{state}"),
        soft_wrap=True,
    )
    if stage.ended:
        console.print(f"Ended by its gate: {stage.ended}", soft_wrap=True)
    table = Table("domain", "planned", "trained", "static", "moved")
    for line in stage.sources:
        _add_line(table, line, stage, line.name)
        for part in stage.of(line.name):
            if part.name != line.name:
                _add_line(table, part, stage, part.name.removeprefix(f"{line.name}/"), "dim", depth=1)
    _add_line(table, stage.total, stage, "all", "strong")
    console.print(table)
    if stage.begun:
        console.print(
            "static: by the recipe's weights, limits of epochs aside; moved: the difference, if over one sequence",
            style="dim",
        )
    console.print()


def _add_stock(table: Table, stock: Stock, name: str, *, topic: bool = False) -> None:
    epochs = None if stock.epochs is None else number(stock.epochs, 2)
    table.add(name, *map(_count, _amounts(stock)), epochs, tone="dim" if topic else "", depth=int(topic))


def _add_line(table: Table, line: Line, stage: StageAccount, name: str, tone: Tone = "", depth: int = 0) -> None:
    length = stage.sequence_length
    static = None if line.static is None else count(line.static * length)
    moved = None if line.moved is None else change(line.moved * length, 0)
    if line.moved is not None and abs(line.moved) <= 1:
        moved = Cell("=", 0, is_number=True)
    table.add(name, count(line.planned * length), count(line.trained * length), static, moved, tone=tone, depth=depth)


def _add_total(table: Table, rows: Iterable[Sequence[int | None]], *more: None) -> None:
    sums = (None if None in column else sum(amount or 0 for amount in column) for column in zip(*rows, strict=True))
    table.add("all", *map(_count, sums), *more, tone="strong")


def _amounts(stock: Stock) -> tuple[int | None, ...]:
    return stock.prepared, stock.once, stock.waiting, stock.repeated


def _count(amount: int | None) -> Cell:
    return UNKNOWN if amount is None else count(amount)
