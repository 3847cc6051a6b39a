"""`sapwood report`: the page and the model card."""

from __future__ import annotations

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.report.card import write_card
from sapwood.report.page import write_report


def report(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Write the report, one HTML page, and the model card beside the grown model."""
    loaded, run = open_run(recipe, overrides, runs)
    write_reports(loaded, run)


def write_reports(recipe: Recipe, run: RunDirectory) -> None:
    """Writes everything a run has to say about itself and names the files."""
    if not run.root.is_dir():
        raise SapwoodError(f"There is no run in {run.root}. `sapwood run` or `sapwood prepare` begins one.")
    page = write_report(recipe, run.root)
    console.print(f"Report: {page}")
    if run.model.is_dir():
        write_card(recipe, run.root)
        console.print(f"Model:  {run.model}")
