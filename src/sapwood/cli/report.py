"""`sapwood report`: the page and the model card of a run, or several runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sapwood.cli.common import RUNS, RecipeArgument, RunsOption, open_run
from sapwood.errors import SapwoodError
from sapwood.pipeline.report import Reported, compare_runs, write_report
from sapwood.progress import console

MoreArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN | PATH=VALUE", help="Directories of other runs to compare the first with; or fields to set."
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Where the comparison of runs is written; comparison.html beside the first otherwise.",
    ),
]


def report(
    recipe: RecipeArgument, more: MoreArgument = None, runs: RunsOption = RUNS, output: OutputOption = None
) -> None:
    """Write the report of a run, one HTML page, and the model card beside the adapted model.

    With the directories of several runs: one page that compares them.
    """
    others = [argument for argument in more or () if "=" not in argument]
    overrides = [argument for argument in more or () if "=" in argument]
    if others and overrides:
        raise SapwoodError(f"Runs are compared as they are: leave out {' '.join(overrides)}, or all runs but one.")
    if others:
        console.print(f"Comparison: {compare_runs([recipe, *others], output)}")
        return
    if output is not None:
        raise SapwoodError("--output is for a comparison of several runs. The report of one is in its directory.")
    print_report(write_report(open_run(recipe, overrides, runs)))


def print_report(reported: Reported) -> None:
    """Names the files of a report."""
    console.print(f"Report: {reported.page}")
    if reported.model is not None:
        console.print(f"Model:  {reported.model}")
