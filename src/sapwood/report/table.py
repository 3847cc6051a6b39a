"""A table, and its three forms: on a terminal, on a page, and in Markdown.

A cell holds what it stands for and how people read it, so that whoever builds a table decides about decimals and signs
once, and programs (`--json`) get numbers.

>>> table = Table("task", "items", "change", title="small")
>>> table.add("arc-easy", count(2376), change(0.0125))
>>> print(table.markdown())
| task | items | change |
|---|---:|---:|
| arc-easy | 2,376 | +0.013 |
>>> table.record()
{'title': 'small', 'rows': [{'task': 'arc-easy', 'items': 2376, 'change': 0.0125}]}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from markupsafe import Markup
from rich.table import Table as RichTable
from rich.text import Text

from sapwood.progress import shown
from sapwood.recipe.units import show_tokens
from sapwood.report import wording
from sapwood.statistics.change import BITS_PER_BYTE, Metric

Tone = Literal["", "strong", "dim", "good", "bad", "warning"]
"""How a row or a cell stands out."""
_STYLES: dict[Tone, str] = {
    "": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "red",
    "warning": "yellow",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table."""

    text: str
    """As people read it."""
    value: Any = None
    """As programs read it: None where there is nothing, a number, a list of two bounds, a text."""
    tone: Tone = ""
    is_number: bool = False


NOTHING = Cell("–", is_number=True)
"""Where there is no number."""
UNKNOWN = Cell("?", is_number=True)
"""Where a number is not known yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells under the columns, in order."""

    cells: tuple[Cell, ...]
    tone: Tone
    depth: int
    """How far the first cell is set in: parts stand under their whole."""


class Table:
    """Rows under named columns. A column of numbers stands to the right; those of long texts, `folded`, may take
    several lines."""

    def __init__(self, *columns: str, title: str | None = None, folded: Sequence[str] = ()) -> None:
        self.columns, self.title, self._folded = columns, title, frozenset(folded)
        self.rows: list[Row] = []

    def add(self, *cells: Cell | str | None, tone: Tone = "", depth: int = 0) -> None:
        """Adds a row, with a cell for every column. Raises ValueError where there are more or fewer."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells, and {len(self.columns)} columns: {', '.join(self.columns)}")
        self.rows.append(Row(tuple(map(_cell, cells)), tone, depth))

    def record(self) -> dict[str, Any]:
        """The title, and the rows by column, for programs."""
        names = [name or f"column {place}" for place, name in enumerate(self.columns, 1)]
        rows = [dict(zip(names, (cell.value for cell in row.cells), strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}

    def __rich__(self) -> RichTable:
        return self.terminal()

    def terminal(self, gap: int = 2) -> RichTable:
        """The table for a terminal, with so many blanks between columns. Nothing in it is read as markup."""
        made = RichTable(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
        if self.title is not None:
            made.title, made.title_justify = Text(shown(self.title), "italic"), "left"
        for name, right in zip(self.columns, self._right(), strict=True):
            folded = name in self._folded
            made.add_column(
                Text(shown(name)),
                justify="right" if right else "left",
                no_wrap=not folded,
                overflow="fold" if folded else "ellipsis",
            )
        for row in self.rows:
            texts = [Text(shown(cell.text), _STYLES[cell.tone]) for cell in row.cells]
            texts[0] = Text("  " * row.depth).append_text(texts[0])
            made.add_row(*texts, style=_STYLES[row.tone] or None)
        return made

    def markdown(self) -> str:
        """The table in Markdown; its texts stay text."""
        marks = ["---:" if right else "---" for right in self._right()]
        lines = [self.columns, *([cell.text for cell in row.cells] for row in self.rows)]
        head, *body = (f"| {' | '.join(map(wording.literal, line))} |" for line in lines)
        return "\n".join((head, f"|{'|'.join(marks)}|", *body))

    def html(self, look: str = "") -> Markup:
        """The table on a page, of a class of the style sheet; its texts are escaped."""
        looks = [
            ["n"] * right + ["wrap"] * (name in self._folded)
            for name, right in zip(self.columns, self._right(), strict=True)
        ]
        head = Markup("").join(
            Markup('<th scope="col"{}>{}</th>').format(_class(classes), name)
            for name, classes in zip(self.columns, looks, strict=True)
        )
        body = Markup("").join(_html_row(row, looks) for row in self.rows)
        caption = Markup("") if self.title is None else Markup("<caption>{}</caption>").format(self.title)
        opened = Markup('<table class="{}">').format(look) if look else Markup("<table>")
        return opened + Markup("{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(caption, head, body)

    def _right(self) -> list[bool]:
        """Which columns are of numbers."""
        columns = [[row.cells[place] for row in self.rows] for place in range(len(self.columns))]
        return [
            any(cell.is_number for cell in cells) and all(cell.is_number or not cell.text for cell in cells)
            for cells in columns
        ]


def _html_row(row: Row, looks: Sequence[list[str]]) -> Markup:
    """A row on a page, under columns of these classes."""
    cells = []
    for place, (cell, classes) in enumerate(zip(row.cells, looks, strict=True)):
        form = Markup("<td{}>{}</td>") if place else Markup('<th scope="row"{}>{}</th>')
        inset = [f"depth-{row.depth}"] if row.depth and not place else []
        cells.append(form.format(_class([*classes, cell.tone, *inset]), cell.text))
    return Markup("<tr{}>{}</tr>").format(_class([row.tone]), Markup("").join(cells))


def _class(names: Sequence[str]) -> Markup:
    given = " ".join(filter(None, names))
    return Markup(' class="{}"').format(given) if given else Markup("")


def _cell(given: Cell | str | None) -> Cell:
    if given is None:
        return Cell("")
    return Cell(given, given or None) if isinstance(given, str) else given


def _number(text: str, value: float | None, tone: Tone = "") -> Cell:
    """JSON knows no other numbers than finite ones."""
    return Cell(text, value if value is not None and math.isfinite(value) else None, tone, is_number=True)


def _bounds(text: str, bounds: Sequence[float]) -> Cell:
    return Cell(text, list(bounds) if all(map(math.isfinite, bounds)) else None, is_number=True)


def count(value: float | None) -> Cell:
    """A whole number, all of it, or a dash: `12,345`."""
    return NOTHING if value is None else _number(wording.count(value), value)


def number(value: float | None, decimals: int = 3) -> Cell:
    """A number with so many decimals, or a dash: `1.612`."""
    return NOTHING if value is None else _number(wording.number(value, decimals), value)


def change(value: float | None, decimals: int = 3, tone: Tone = "") -> Cell:
    """A number with its sign, or a dash: `+0.403`."""
    return NOTHING if value is None else _number(wording.signed(value, decimals), value, tone)


def share(value: float | None, decimals: int = 1) -> Cell:
    """A share of one, or a dash: `12.5%`."""
    return NOTHING if value is None else _number(wording.percent(value, decimals), value)


def exact_share(value: Fraction) -> Cell:
    """A share of one to four decimals, without the last zeros: `12.5%`, `33.3333%`."""
    return _number(f"{float(100 * value):.4f}".rstrip("0").rstrip(".") + "%", float(value))


def tokens(value: Fraction | float | None) -> Cell:
    """Tokens as a recipe writes them, or a dash: `20M`."""
    return NOTHING if value is None else _number(show_tokens(value), float(value))


def size(amount: float) -> Cell:
    """Bytes: `3.1 GiB`."""
    return _number(wording.size(amount), amount)


def duration(seconds: float) -> Cell:
    """A time in its two largest units: `21 min 30 s`; for programs, seconds."""
    return _number(wording.duration(seconds), seconds)


def score(value: float, metric: Metric) -> Cell:
    """How good a model is, in the metric's unit: `1.612`, `62.5`."""
    return _number(wording.score(value, metric), metric.scale * value)


def score_change(value: float, metric: Metric) -> Cell:
    """An improvement in the metric's unit: `+0.403`, `−1.5`."""
    return _number(wording.score_change(value, metric), metric.scale * value)


def margin(value: float, half: float, metric: Metric = BITS_PER_BYTE) -> Cell:
    """An improvement with half the width of its interval: `+4.0 ± 5.5`; for programs the improvement alone."""
    text = f"{wording.score_change(value, metric)} ± {wording.score(half, metric)}"
    return _number(text, metric.scale * value)


def interval(bounds: tuple[float, float], metric: Metric = BITS_PER_BYTE) -> Cell:
    """The bounds of an improvement: `+0.374 to +0.431`; for programs, a list of both, or nothing."""
    return _bounds(wording.interval(bounds, metric), [metric.scale * bound for bound in bounds])


def score_interval(bounds: tuple[float, float], metric: Metric) -> Cell:
    """The bounds of how good a model is: `58.1 to 66.9`."""
    return _bounds(" to ".join(wording.score(bound, metric) for bound in bounds), [metric.scale * b for b in bounds])


def share_interval(bounds: tuple[float, float]) -> Cell:
    """The bounds of a share: `91.0% to 97.2%`."""
    return _bounds(" to ".join(map(wording.percent, bounds)), bounds)


def number_interval(bounds: tuple[float, float], decimals: int = 3, *, signed: bool = False) -> Cell:
    """The bounds of a number, perhaps with their signs: `1.512 to 1.634`."""
    return _bounds(" to ".join(wording.number(bound, decimals, signed=signed) for bound in bounds), bounds)


def p_value(value: float) -> Cell:
    """`0.031`, `<0.001`."""
    return _number(wording.p_value(value), value)
