"""One table: a terminal, a page and Markdown show the same cells, and programs get what they stand for."""

from __future__ import annotations

import io
import math
import re
from fractions import Fraction

import pytest
from markupsafe import Markup
from rich.console import Console

from sapwood.report.table import (
    NOTHING,
    UNKNOWN,
    Cell,
    Table,
    change,
    count,
    exact_share,
    interval,
    margin,
    number,
    number_interval,
    p_value,
    share,
    share_interval,
    tokens,
)

EVIL = "<b>|[red]*x*"
CELLS = [
    (count(1234567), "1,234,567", 1234567),
    (number(1.5), "1.500", 1.5),
    (change(-0.25), "−0.250", -0.25),
    (share(0.125), "12.5%", 0.125),
    (exact_share(Fraction(1, 3)), "33.3333%", 1 / 3),
    (tokens(20_000_000), "20M", 20e6),
    (margin(0.5, 0.25), "+0.500 ± 0.250", 0.5),
    (interval((-0.5, 0.25)), "−0.500 to +0.250", [-0.5, 0.25]),
    (interval((-math.inf, math.inf)), "unknown", None),
    (share_interval((0.5, 0.75)), "50.0% to 75.0%", [0.5, 0.75]),
    (p_value(1e-6), "<0.001", 1e-6),
    (number(None), "–", None),
    (number(math.nan), "–", None),
    (change(-math.inf), "−∞", None),
    (number_interval((1.5, math.inf)), "1.500 to ∞", None),
    (number_interval((-0.5, 0.25), 1, signed=True), "−0.5 to +0.2", [-0.5, 0.25]),
    (UNKNOWN, "?", None),
]


@pytest.mark.parametrize(("cell", "text", "value"), CELLS)
def test_a_cell_is_text_for_people_and_a_value_for_programs(cell: Cell, text: str, value: object) -> None:
    assert (cell.text, cell.value, cell.is_number) == (text, value, True)


def test_all_forms_show_the_same_cells() -> None:
    table = Table("name", "items", "verdict", title="a title")
    table.add("whole", count(1234), "kept", tone="strong")
    table.add(EVIL, NOTHING, None, depth=1)
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split() for line in shown[1:]] == [
        ["name", "items", "verdict"],
        ["whole", "1,234", "kept"],
        [EVIL, "–"],
    ]
    assert shown[3].startswith("  <b>")
    plain = Markup(re.sub(r"</t[hd]>|</caption>", " ", str(table.html()))).striptags()
    assert plain.split() == ["a", "title", "name", "items", "verdict", "whole", "1,234", "kept", EVIL, "–"]
    assert "<b>" not in table.html()
    head, marks, whole, part = table.markdown().splitlines()
    assert (head, marks, whole) == ("| name | items | verdict |", "|---|---:|---|", "| whole | 1,234 | kept |")
    assert part == r"| \<b\>\|\[red\]\*x\* | – |  |"
    assert table.record() == {
        "title": "a title",
        "rows": [{"name": "whole", "items": 1234, "verdict": "kept"}, {"name": EVIL, "items": None, "verdict": None}],
    }


def test_a_row_has_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match="1 cells, and 2 columns: a, b"):
        Table("a", "b").add("x")
