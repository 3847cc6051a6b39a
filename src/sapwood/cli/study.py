"""`sapwood study`: many small runs of one recipe, and what they show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.cli.common import RUNS
from sapwood.cli.output import Output, print_note, with_json
from sapwood.cli.plan import print_problems
from sapwood.cli.train import STOPPED
from sapwood.progress import console
from sapwood.recipe.units import show_tokens
from sapwood.report.table import NOTHING, Cell, Table, count, interval, p_value, score, score_change, tokens

if TYPE_CHECKING:
    from sapwood.statistics.change import Change
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
    for size, findings in found.findings.items():
        print_findings(size, findings)
    output = Output()
    for sentence in found.conclusions:
        output.print(sentence, soft_wrap=True)
    console.print(f"The report is {found.page}.")
    if found.recipe is not None:
        console.print(f"The recipe with the settings that transfer is {found.recipe}.")


def print_findings(size: str, findings: Findings) -> None:
    """Prints every arm since the base model, and arms against the reference, as tables."""
    output = Output()
    title = f"{size}: " if size else ""
    table = Table(
        *("metric", "arm", "seeds", "before", "after", "better by", "interval", "verdict"),
        title=f"{title}since the base model",
        folded=("verdict",),
    )
    for row in findings.arms:
        measured = _measured(row.change)
        table.add(row.primary.name, row.arm.name, count(len(row.seeds)), *measured, row.change.verdict or NOTHING.text)
    output.print(table)
    output.print()
    if not findings.contrasts:
        return
    table = Table(
        *("metric", "arm", "seeds", "reference", "arm's", "better by", "interval", "p (Holm)"),
        title=f"{title}against '{findings.contrasts[0].reference.name}'",
    )
    for contrast in findings.contrasts:
        measured = _measured(contrast.change)
        seeds = count(len(contrast.seeds))
        table.add(contrast.primary.name, contrast.arm.name, seeds, *measured, p_value(contrast.change.p_value))
    output.print(table)
    output.print()


def _measured(change: Change) -> tuple[Cell, ...]:
    """Before, after, the improvement and its interval, in the metric's unit."""
    metric = change.metric
    levels = score(change.before, metric), score(change.after, metric)
    return *levels, score_change(change.value, metric), interval((change.low, change.high), metric)


def print_plan(plan: StudyPlan) -> None:
    """Prints a plan as a table."""
    output = Output()
    table = Table("arm", "seeds", "tokens a trial", "tokens", "done", "failed")
    for row in plan.arms:
        seeds = len(row.arm.seeds)
        amounts = count(seeds), tokens(row.tokens), tokens(seeds * row.tokens)
        table.add(row.arm.label, *amounts, count(row.done), count(row.failed))
    output.print(table)
    output.print(f"\n{plan.cost}", soft_wrap=True)
    for sentence in plan.effects:
        print_note(output, sentence)
    print_problems("Not here yet, and needed by `sapwood study run`:", list(plan.waiting))


def _tell(trial: Trial, result: TrialResult) -> None:
    if result.finished:
        console.print(f"{trial.name}: {show_tokens(result.tokens)} tokens in {result.seconds:,.0f} s")
    else:
        console.print(f"{trial.name} failed: {result.error}", style="red")
