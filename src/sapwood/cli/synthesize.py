"""`sapwood synthesize`: questions and answers from pages, or programming problems from problems, verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from sapwood.cli.common import OverridesArgument
from sapwood.cli.output import Output, with_json
from sapwood.errors import SapwoodError
from sapwood.files import read_json
from sapwood.progress import console
from sapwood.recipe import Synthesis
from sapwood.runs.lock import hold

if TYPE_CHECKING:
    from sapwood.generation.asker import Asker
    from sapwood.runs.manifest import Manifest
    from sapwood.synthesis.directory import JobDirectory


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
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.generation.asker import Asker
    from sapwood.pipeline.job import check_job
    from sapwood.pipeline.problem import refuse
    from sapwood.synthesis.estimate import estimate
    from sapwood.synthesis.job import again, find_work, open_job
    from sapwood.synthesis.run import write_items

    loaded, directory = open_job(job, overrides or ())
    refuse(list(check_job(loaded, asks=not (batch or dry_run))), job)
    with hold(directory.root), full_disk_explained(directory.root):
        asker = Asker(
            directory.root, lambda server: not batch and server.model not in loaded.fleet, servers=loaded.servers
        )
        work, planned = find_work(loaded, directory, asker.embed)
        account = read_json(directory.account, directory.remedy) if directory.account.exists() else None
        if dry_run:
            _print_estimate(estimate(loaded, work, account), account)
            return
        if answers:
            _take_answers(asker, answers)
        outcome = write_items(loaded, work, planned, directory, asker)
        while asker.awaits and not batch:
            from sapwood.synthesis.fleet import answer_awaited  # takes a second to import

            answer_awaited(loaded, asker, directory)
            outcome = write_items(loaded, again(loaded, work, asker.embed), planned, directory, asker)
        if outcome.manifest is None:
            _explain_failures(outcome.failures, asker.write_awaited(directory.requests) if batch else [], job)
        else:
            finish(loaded, directory, outcome.manifest)


def finish(job: Synthesis, directory: JobDirectory, manifest: Manifest) -> None:
    """Prints what became of the items of a finished job, and writes the page about it."""
    from sapwood.report.synthesis import write_synthesis_report

    _print_yield(read_json(directory.account, directory.remedy))
    counts = manifest.counts
    console.print(
        f"{counts['accepted']:,} of {counts['attempts']:,} accepted: {directory.accepted}\n"
        f"What became of them: {write_synthesis_report(job, directory)}"
    )


@synthesize.command()
def sample(
    job: JobArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, JSONL.")],
    count: Annotated[int, typer.Option(help="How many items, accepted ones and rejected ones in turn.")] = 200,
    overrides: OverridesArgument = None,
) -> None:
    """Write items of a finished job to label: set `correct` in each line to true or false."""
    from sapwood.synthesis.job import open_job
    from sapwood.synthesis.labelled import write_sample

    _, directory = open_job(job, overrides or ())
    if file.exists():
        raise SapwoodError(f"{file} is there already; labels in it are not overwritten. Name another file.")
    written = write_sample(directory, file, count)
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
    from sapwood.files import write_json
    from sapwood.generation.asker import Asker
    from sapwood.runs.manifest import read_manifest
    from sapwood.synthesis.job import open_job
    from sapwood.synthesis.labelled import calibrate_stages, read_labelled
    from sapwood.synthesis.stages import build_stages

    loaded, directory = open_job(job, overrides or ())
    own = None if loaded.prompts is None else Path(loaded.prompts)
    asker = Asker(directory.root)
    with hold(directory.root):
        found = calibrate_stages(read_labelled(file), build_stages(loaded, own, asker.embed), asker, target)
        write_json(directory.calibration, found, sealed=True)
        _print_calibration(found)
        manifest = read_manifest(directory.root, directory.remedy)
        if manifest is not None:
            finish(loaded, directory, manifest)


def _take_answers(asker: Asker, files: list[Path]) -> None:
    found = asker.read_batch(files)
    listed = ", ".join(f"{count:,} {reason}" for reason, count in found.items()) or "nothing"
    if not found["answered"]:
        raise SapwoodError(f"No answers are in {files[0]} (found: {listed}). It must be what a batch service wrote.")
    console.print(f"Answers: {listed}")


def _explain_failures(failures: Mapping[str, int], batches: list[Path], job: Path) -> None:
    """Says what waits for an answer, and what to do."""
    if batches:
        console.print("These requests wait for answers:")
        for path in batches:
            console.print(f"  {path}")
        console.print(
            f"Have them answered, such as by `vllm run-batch -i FILE -o RESULTS --model MODEL`, then\n"
            f"  sapwood synthesize {job} --batch --answers RESULTS"
        )
        return
    listed = "\n".join(f"  {count:,}: {reason}" for reason, count in failures.items())
    raise SapwoodError(f"Some requests got no answer; the same command asks for them again.\n{listed}")


def _print_estimate(found: Iterable[Any], account: Mapping[str, Any] | None) -> None:
    table = _table("stage", "model", "requests", "tokens read", "tokens written", "price")
    total: dict[str, float] = {}
    for line in found:
        price = line.price
        shown = "–" if price is None else f"{price:,.2f} {line.server.price.currency}"
        if price is not None:
            total[line.server.price.currency] = total.get(line.server.price.currency, 0.0) + price
        numbers = (line.requests, line.prompt_tokens, line.completion_tokens)
        table.add_row(line.stage, line.server.model, *(f"{number:,}" for number in numbers), shown)
    Output(stderr=True).print(table)
    for currency, price in total.items():
        console.print(f"Together {price:,.2f} {currency}.")
    console.print(
        f"As measured on {account['attempts']:,} attempts of this job."
        if account is not None
        else "At most: as if every item reached every stage. Answers and checks are assumed to be as long as in "
        "docs/synthesis.md; a run of a few hundred items measures them."
    )


def _print_yield(account: Mapping[str, Any]) -> None:
    table = _table("stage", "looked at", "rejected", "share", "tokens")
    for stage, counts in account["stages"].items():
        share = counts["rejected"] / counts["seen"] if counts["seen"] else 0.0
        tokens = counts["prompt_tokens"] + counts["completion_tokens"]
        table.add_row(stage, f"{counts['seen']:,}", f"{counts['rejected']:,}", f"{share:.0%}", f"{tokens:,}")
    Output(stderr=True).print(table)


def _print_calibration(found: Mapping[str, Any]) -> None:
    table = _table("stage", "threshold", "kept", "precision", "95% interval", "right ones kept")
    for stage, curve in found["stages"].items():
        for point in curve["curve"]:
            mark = "  ← " if point["threshold"] == curve["threshold"] else ""
            table.add_row(
                stage,
                f"{mark}{point['threshold']:.2f}",
                f"{point['kept']:,}",
                f"{point['precision']:.1%}",
                f"{point['low']:.1%} to {point['high']:.1%}",
                f"{point['recall']:.1%}",
            )
    Output(stderr=True).print(table)
    for stage, curve in found["stages"].items():
        if curve["threshold"] is None:
            console.print(f"{stage}: no threshold reaches {found['target']:.0%} for sure with so few labels.")


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 0 else "right")
    return table
