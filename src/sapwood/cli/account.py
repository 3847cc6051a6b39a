"""`sapwood account`: where every token of a run came from and went to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption, open_run
from sapwood.cli.output import Output
from sapwood.errors import SapwoodError, closest
from sapwood.mixture.account import Account, Line, StageAccount, Stock
from sapwood.pipeline.ledger import account as read_account

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
    table = _table(console, "source", "read", "to train on", "held out", "dropped")
    rows = {
        source.name: (source.read, source.stock.prepared, source.held_out, source.dropped) for source in account.sources
    }
    for source in account.sources:
        name = f"{source.name} (evaluation only)" if source.evaluation_only else source.name
        table.add_row(name, *map(_count, rows[source.name]))
    _add_total(table, rows.values())
    console.print(table)
    for source in account.sources:
        for reason, documents in source.reasons.items():
            line = f"Dropped from {source.name}: {documents:,} document{'' if documents == 1 else 's'}, {reason}"
            console.print(line, style="dim", soft_wrap=True)

    console.print()
    title = "Tokens to train on", "bold"
    console.print(Text.assemble(title, " = trained at least once + waiting; repeated come on top"))
    table = _table(console, "source", "to train on", "once", "waiting", "repeated", "epochs")
    trained_on = [source for source in account.sources if not source.evaluation_only]
    for source in trained_on:
        _add_stock(table, source.stock, source.name)
        for topic in source.topics:
            _add_stock(table, topic, _indented(topic.name), style="dim")
    _add_total(table, [_amounts(source.stock) for source in trained_on])
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
    table = _table(console, "domain", "planned", "trained", "static", "moved")
    for line in stage.sources:
        _add_line(table, line, stage, line.name)
        for part in stage.of(line.name):
            if part.name != line.name:
                _add_line(table, part, stage, _indented(part.name.removeprefix(f"{line.name}/")), style="dim")
    table.add_section()
    _add_line(table, stage.total, stage, "all", style="bold")
    console.print(table)
    if stage.begun:
        console.print(
            "static: by the recipe's weights, limits of epochs aside; moved: the difference, if over one sequence",
            style="dim",
        )
    console.print()


def _table(console: Console, name: str, *numbers: str) -> Table:
    gap = 2 if console.width >= 100 else 1
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    table.add_column(name, overflow="fold", min_width=10)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _add_stock(table: Table, stock: Stock, name: str | Padding, style: str | None = None) -> None:
    epochs = "" if stock.epochs is None else f"{stock.epochs:.2f}"
    table.add_row(name, *map(_count, _amounts(stock)), epochs, style=style)


def _add_line(table: Table, line: Line, stage: StageAccount, name: str | Padding, style: str | None = None) -> None:
    length = stage.sequence_length
    static = "" if line.static is None else _count(line.static * length)
    moved = "" if line.moved is None else "=" if abs(line.moved) <= 1 else f"{line.moved * length:+,}"
    table.add_row(name, _count(line.planned * length), _count(line.trained * length), static, moved, style=style)


def _add_total(table: Table, rows: Iterable[Sequence[int | None]]) -> None:
    table.add_section()
    sums = (None if None in column else sum(amount or 0 for amount in column) for column in zip(*rows, strict=True))
    table.add_row("all", *map(_count, sums), style="bold")


def _amounts(stock: Stock) -> tuple[int | None, ...]:
    return stock.prepared, stock.once, stock.waiting, stock.repeated


def _indented(topic: str) -> Padding:
    return Padding(topic, (0, 0, 0, 2))


def _count(amount: int | None) -> str:
    return "?" if amount is None else f"{amount:,}"
