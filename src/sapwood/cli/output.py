"""Where verbs print their tables: whole on a terminal and in a log, or as JSON where `--json` asks for it."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console, ConsoleDimensions
from rich.measure import Measurement
from rich.text import Text

from sapwood.progress import Screen
from sapwood.report.table import Table

_WIDEST = 10_000

_collected: ContextVar[list[dict[str, Any]] | None] = ContextVar("collected", default=None)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the tables as JSON on standard output, and all else on standard error.")
]


class Output(Screen):
    """A console that shows tables with every column, as wide as what stands in them.

    On a terminal a table that is too wide is folded between words, and no further. Elsewhere, in logs above all,
    nothing is squeezed. While a verb was called with `--json`, tables are collected; all else goes to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr or _collected.get() is not None)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does; a table alone is shown whole, or collected."""
        shown = objects[0] if len(objects) == 1 else None
        if not isinstance(shown, Table):
            super().print(*objects, **options)
            return
        tables = _collected.get()
        if tables is not None:
            tables.append(shown.record())
            return
        room = self.options.update(max_width=_WIDEST)
        for gap in (2, 1):
            table = shown.terminal(gap)
            least, most = Measurement.get(self, room, table)
            if most <= self.width:
                break
        if self.is_terminal and most > self.width:
            for column in table.columns:  # rich cuts off what may not be folded, and the last columns first
                column.no_wrap, column.overflow = False, "fold"
        before = self._width, self._height
        self.size = ConsoleDimensions(max(self.width, least if self.is_terminal else most), self.height)
        try:
            super().print(table, **options)
        finally:
            self._width, self._height = before


def print_note(console: Console, text: str) -> None:
    """Prints what should be known, and stops nothing."""
    console.print(Text.assemble(("Note:", "yellow"), f" {text}"), soft_wrap=True)


def with_json(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with an option `--json`: one object, `tables`, each with its `title` and its `rows` by column."""
    signature = inspect.signature(verb)
    option = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)

    @functools.wraps(verb)
    def called(*arguments: Any, as_json: bool = False, **named: Any) -> None:
        if not as_json:
            verb(*arguments, **named)
            return
        with _collecting() as tables:
            try:
                verb(*arguments, **named)
            except typer.Exit:  # the status of a verdict, which stands in the tables
                _write(tables)
                raise
        _write(tables)

    hints = get_type_hints(verb, include_extras=True)
    parameters = [
        parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    ]
    called.__signature__ = signature.replace(parameters=[*parameters, option])  # type: ignore[attr-defined]
    called.__annotations__ = {**hints, "as_json": JsonOption}
    return called


@contextmanager
def _collecting() -> Iterator[list[dict[str, Any]]]:
    tables: list[dict[str, Any]] = []
    token = _collected.set(tables)
    try:
        yield tables
    finally:
        _collected.reset(token)


def _write(tables: list[dict[str, Any]]) -> None:
    typer.echo(json.dumps({"tables": tables}, ensure_ascii=False, indent=2))
