"""`sapwood study`: many small runs of one recipe, and what they show."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.cli.common import RUNS
from sapwood.cli.output import Output, print_note, with_json
from sapwood.cli.plan import print_problems
from sapwood.cli.train import STOPPED
from sapwood.progress import console
from sapwood.recipe.units import show_tokens

if TYPE_CHECKING:
    from sapwood.studies.directory import TrialResult
    from sapwood.studies.judge import Findings
    from sapwood.studies.plan import StudyPlan
    from sapwood.studies.trials import Trial

study = typer.Typer(help="Studies: arms of one recipe with several seeds, compared with intervals.")

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="The study, a YAML file (docs/studies.md).")]
StudiesOption = Annotated[Path, typer.Option("--runs", help="Where studies are kept; this one below its name.")]


@study.command("plan")
@with_json
def plan(file: StudyArgument, runs: StudiesOption = RUNS) -> None:
    """Show the arms, what they cost, and the smallest effect that the design can show; refuse what cannot work.

    Costs and changes nothing. All problems of all arms are listed at once.
    """
    from sapwood.studies.plan import plan_study

    print_plan(plan_study(file, runs))


@study.command("run")
def run(
    file: StudyArgument,
    runs: StudiesOption = RUNS,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many trials run at a time.")] = 1,
) -> None:
    """Run what is not finished. Run again, it continues; arms and seeds that were added are run, others are not.

    A trial that fails is named with its error and stops no other. Exits with 1 where one failed, with 130 where trials
    were left for later.
    """
    from sapwood.studies.run import run_study

    found = run_study(file, runs, jobs=jobs, reporter=_tell)
    for name, error in found.failed.items():
        console.print(f"{name} failed: {error}", style="red")
    if found.waiting:
        console.print(f"{len(found.waiting)} trials are left; the same command continues.")
        sys.exit(STOPPED)
    console.print(f"All trials are run. `sapwood study report {file}` says what they show.")
    if found.failed:
        sys.exit(1)


@study.command("report")
@with_json
def report(file: StudyArgument, runs: StudiesOption = RUNS) -> None:
    """Say what a study shows: its noise, every arm, arms against the reference; and write the page.

    While trials are still to be run the report is an interim one, and compares no arms.
    """
    from sapwood.studies.report import report_study

    found = report_study(file, runs)
    print_findings(found.findings)
    output = Output()
    for sentence in found.conclusions:
        output.print(sentence, soft_wrap=True)
    console.print(f"The report is {found.page}.")
    if found.recipe is not None:
        console.print(f"The recipe with the settings that transfer is {found.recipe}.")


def print_findings(found: Mapping[str, Findings]) -> None:
    """Prints every arm since the base model, and arms against the reference, as tables; `found` is by size."""
    from sapwood.studies.tables import arms_table, contrasts_table

    output = Output()
    level = next(iter(found.values())).study.confidence
    output.print("Since the base model", style="italic")
    output.print(arms_table(found, level))
    output.print()
    contrasts = contrasts_table(found, level)
    if contrasts.rows:
        reference = next(row.reference for findings in found.values() for row in findings.contrasts)
        output.print(f"Against '{reference.name}'", style="italic")
        output.print(contrasts)
        output.print()


def print_plan(plan: StudyPlan) -> None:
    """Prints a plan as a table."""
    from sapwood.studies.tables import design_table

    output = Output()
    output.print(design_table(plan))
    output.print(f"\n{plan.cost}", soft_wrap=True)
    for sentence in plan.effects:
        print_note(output, sentence)
    print_problems("Not here yet, and needed by `sapwood study run`:", list(plan.waiting))


def _tell(trial: Trial, result: TrialResult) -> None:
    if result.finished:
        console.print(f"{trial.name}: {show_tokens(result.tokens)} tokens in {result.seconds:,.0f} s")
    else:
        console.print(f"{trial.name} failed: {result.error}", style="red")
