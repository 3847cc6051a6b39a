from __future__ import annotations

from pathlib import Path

from test_page import Page

from sapwood.recipe import Recipe
from sapwood.report.page import write_report


def test_look(benchmarked: tuple[Recipe, Path]) -> None:
    recipe, run = benchmarked
    page = Page(write_report(recipe, run))
    import shutil
    shutil.copy(run / "report.html", "/tmp/report2.html")
    from sapwood.report.card import write_card
    write_card(recipe, run)
