"""Several runs on one page: their verdicts, each against the first, benchmarks, recipes, tokens and time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from sapwood.files import write_atomic
from sapwood.recipe import load_recipe
from sapwood.report.aims import AIMS
from sapwood.report.comparison import sections
from sapwood.report.html import render_sections
from sapwood.report.run_view import RunView
from sapwood.runs.directory import RunDirectory

PAGE = "comparison.html"
SECTIONS = (
    ("verdicts", "Gained and kept", sections.verdicts_section),
    ("against", "Against the first", sections.against_section),
    ("benchmarks", "Benchmarks", sections.benchmarks_section),
    ("recipes", "Recipes", sections.recipes_section),
    ("costs", "Tokens and time", sections.costs_section),
)


def write_comparison(runs: Mapping[str, Path], page: Path) -> Path:
    """Writes a page about runs, by what each is called, and returns its path. The others are compared with the first.

    Raises SapwoodError where a ledger was changed by hand, or a recipe cannot be read.
    """
    facts = {name: RunView(load_recipe(path / "recipe.yaml"), RunDirectory(path)) for name, path in runs.items()}
    reports = {name: _address(path / "report.html", page) for name, path in runs.items()}
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, render_sections("comparison", SECTIONS, facts, runs=list(facts), reports=reports, AIMS=AIMS))
    return page


def _address(report: Path, page: Path) -> str:
    """Where a report lies, seen from the page; empty where it was not written."""
    return quote(Path(os.path.relpath(report, page.parent)).as_posix()) if report.exists() else ""
