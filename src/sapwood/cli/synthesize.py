"""`sapwood synthesize`: questions and answers from pages, or programming problems from problems, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sapwood.cli.common import OverridesArgument
from sapwood.cli.output import Output, with_json
from sapwood.progress import console
from sapwood.report.table import NOTHING, Cell, Table, count, share, share_interval

if TYPE_CHECKING:
    from sapwood.pipeline.synthesize import SynthesisEstimate, SynthesizedItems
    from sapwood.synthesis.labelled import Calibration


class _RunUnlessNamed(TyperGroup):
    """`sapwood synthesize JOB` runs the job: the verb `run` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


synthesize = typer.Typer(
    cls=_RunUnlessNamed,
    help="Write questions with answers from pages, and verify them: `sapwood synthesize JOB`.",
)

JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The synthesis job, a YAML file.")]


@synthesize.command()
@with_json
def run(
    job: JobArgument,
    overrides: OverridesArgument = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Choose the seeds, and state requests, tokens and price; ask nothing.")
    ] = False,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Ask no server: write what waits for an answer as OpenAI batch files."),
    ] = False,
    answers: Annotated[
        list[Path] | None,
        typer.Option("--answers", metavar="FILE", help="Take in answers of a batch service first; may be repeated."),
    ] = None,
) -> None:
    """Write and verify the items of a job. Run again, it continues; what was asked before is not asked again.

    What would stop it, such as a missing file or key, is listed first, all at once.
    """
    from sapwood.pipeline.synthesize import estimate_synthesis
    from sapwood.pipeline.synthesize import synthesize as write_items

    if dry_run:
        _print_estimate(estimate_synthesis(job, overrides or ()))
        return
    reached = write_items(job, overrides or (), answers=answers or (), batch=batch)
    if reached.answers:
        console.print(f"Answers: {', '.join(f'{count:,} {reason}' for reason, count in reached.answers.items())}")
    if reached.items is not None:
        _print_items(reached.items)
        return
    console.print("These requests wait for answers:")
    for path in reached.requests:
        console.print(f"  {path}")
    console.print(
        f"Have them answered, such as by `vllm run-batch -i FILE -o RESULTS --model MODEL`, then\n"
        f"  sapwood synthesize {job} --batch --answers RESULTS"
    )


@synthesize.command()
def sample(
    job: JobArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, JSONL.")],
    count: Annotated[int, typer.Option(help="How many items, accepted ones and rejected ones in turn.")] = 200,
    overrides: OverridesArgument = None,
) -> None:
    """Write items of a finished job to label: set `correct` in each line to true or false."""
    from sapwood.pipeline.synthesize import sample_items

    written = sample_items(job, file, count=count, overrides=overrides or ())
    console.print(f"{written:,} items in {file}. Set `correct` in each line, then `sapwood synthesize calibrate`.")


@synthesize.command()
@with_json
def calibrate(
    job: JobArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labelled items, JSONL: records with `correct`.")],
    target: Annotated[
        float, typer.Option(min=0, max=1, help="The precision that the lower end of the interval must reach.")
    ] = 0.95,
    overrides: OverridesArgument = None,
) -> None:
    """Measure on labelled items what each threshold lets through, and which one is strict enough."""
    from sapwood.pipeline.synthesize import calibrate_synthesis

    calibrated = calibrate_synthesis(job, file, target=target, overrides=overrides or ())
    _print_calibration(calibrated.stages)
    if calibrated.items is not None:
        _print_items(calibrated.items)


def _print_items(items: SynthesizedItems) -> None:
    """What became of the items of a finished job."""
    table = Table("stage", "looked at", "rejected", "share", "tokens")
    for stage in items.stages:
        rejected = share(stage.rejected / stage.seen if stage.seen else 0.0, 0)
        table.add(stage.stage, count(stage.seen), count(stage.rejected), rejected, count(stage.tokens))
    Output(stderr=True).print(table)
    console.print(f"{items.accepted:,} of {items.attempts:,} accepted: {items.file}\nWhat became of them: {items.page}")


def _print_estimate(found: SynthesisEstimate) -> None:
    table = Table("stage", "model", "requests", "tokens read", "tokens written", "price")
    for line in found.stages:
        price = line.server.price
        shown = NOTHING
        if line.price is not None and price is not None:
            shown = Cell(f"{line.price:,.2f} {price.currency}", line.price, is_number=True)
        numbers = (line.requests, line.prompt_tokens, line.completion_tokens)
        table.add(line.stage, line.server.model, *map(count, numbers), shown)
    Output(stderr=True).print(table)
    for currency, total in found.prices.items():
        console.print(f"Together {total:,.2f} {currency}.")
    console.print(
        f"As measured on {found.measured_on:,} attempts of this job."
        if found.measured_on is not None
        else "At most: as if every item reached every stage. Answers and checks are assumed to be as long as in "
        "docs/synthesis.md; a run of a few hundred items measures them."
    )


def _print_calibration(found: Calibration) -> None:
    table = Table("stage", "threshold", "kept", "precision", "95% interval", "right ones kept")
    for name, stage in found.stages.items():
        for point in stage.points:
            mark = "  ← " if point.threshold == stage.threshold else ""
            threshold = Cell(f"{mark}{point.threshold:.2f}", point.threshold, is_number=True)
            precision = share(point.precision), share_interval(point.interval)
            table.add(name, threshold, count(point.kept), *precision, share(point.recall))
    Output(stderr=True).print(table)
    for name, stage in found.stages.items():
        if stage.threshold is None:
            console.print(f"{name}: no threshold reaches {found.target:.0%} for sure with so few labels.")
