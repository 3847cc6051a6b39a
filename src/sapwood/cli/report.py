"""`sapwood report`: the page and the model card of a run, or several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption, labels, open_run
from sapwood.errors import SapwoodError
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.report.card import write_card
from sapwood.report.comparison import PAGE, write_comparison
from sapwood.report.page import write_report
from sapwood.runs.directory import RunDirectory

MoreArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN | PATH=VALUE", help="Directories of other runs to compare the first with; or fields to set."
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", help=f"Where the comparison of runs is written; {PAGE} beside the first otherwise."
    ),
]


def report(
    recipe: RecipeArgument, more: MoreArgument = None, runs: RunsOption = RUNS, output: OutputOption = None
) -> None:
    """Write the report of a run, one HTML page, and the model card beside the grown model.

    With the directories of several runs: one page that compares them.
    """
    others = [argument for argument in more or () if "=" not in argument]
    overrides = [argument for argument in more or () if "=" in argument]
    if others:
        _compare([str(recipe), *others], overrides, output)
        return
    if output is not None:
        raise SapwoodError("--output is for a comparison of several runs. The report of one is in its directory.")
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


def _compare(runs: Sequence[str], overrides: Sequence[str], output: Path | None) -> None:
    for run in runs:
        if not (Path(run) / "recipe.yaml").is_file():
            raise SapwoodError(
                f"{run} is not the directory of a run, of which several can be compared: it has no recipe.yaml. "
                "A field to set is written PATH=VALUE."
            )
    if overrides:
        raise SapwoodError(f"Runs are compared as they are: leave out {' '.join(overrides)}, or all runs but one.")
    named = {label: Path(run) for label, run in labels([str(Path(run).resolve()) for run in runs]).items()}
    page = write_comparison(named, output or Path(runs[0]).absolute().parent / PAGE)
    console.print(f"Comparison: {page}")
