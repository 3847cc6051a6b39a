"""Where verbs print their tables: whole on a terminal and in a log, or as JSON where `--json` asks for it."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sapwood.progress import Screen

_WIDEST = 10_000
_NUMBER = re.compile(r"[+\-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[+\-−]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_NOTHING = ("", "–", "?")

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
        table = objects[0] if len(objects) == 1 else None
        if not isinstance(table, Table):
            super().print(*objects, **options)
            return
        tables = _collected.get()
        if tables is not None:
            tables.append(_record(self, table))
            return
        room = self.options.update(max_width=_WIDEST)
        least, most = Measurement.get(self, room, table)
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


def _record(console: Console, table: Table) -> dict[str, Any]:
    names = [_plain(console, column.header) or f"column {number}" for number, column in enumerate(table.columns, 1)]
    cells = [[_plain(console, cell) for cell in column.cells] for column in table.columns]
    title = None if table.title is None else _plain(console, table.title)
    rows = [dict(zip(names, map(_value, row), strict=True)) for row in zip(*cells, strict=True)]
    return {"title": title, "rows": rows}


def _plain(console: Console, cell: RenderableType) -> str:
    while isinstance(cell, Padding):
        cell = cell.renderable
    if isinstance(cell, str):
        cell = console.render_str(cell, highlight=False)
    return " ".join((cell.plain if isinstance(cell, Text) else str(cell)).replace("-\n", "-").split())


def _value(text: str) -> str | int | float | None:
    """A cell as a number where it is one, and nothing where it says that there is none."""
    if text in _NOTHING:
        return None
    if not _NUMBER.fullmatch(text):
        return text
    bare = text.replace(",", "").replace("−", "-")
    return int(bare) if re.fullmatch(r"[+-]?\d+", bare) else float(bare)
