"""`sapwood launch`: the script with which torchrun or Slurm trains a run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption
from sapwood.errors import SapwoodError
from sapwood.files import write_atomic
from sapwood.mixture.decided import open_run, plan_or_refuse, recipe_file
from sapwood.mixture.plan import Plan
from sapwood.progress import console

TEMPLATES = Path(__file__).with_name("templates")
GRACE_SECONDS = 300
"""How long ranks that are asked to stop may take for the step they are in and its checkpoint."""
PORT = 29500
"""Where the processes of several nodes meet."""
CORES_PER_GPU = 8
"""What is asked for where nothing is said."""

Scheduler = Literal["torchrun", "slurm"]
FILES: dict[Scheduler, tuple[str, str]] = {
    "torchrun": ("torchrun.sh.j2", "bash {file}"),
    "slurm": ("slurm.sh.j2", "sbatch {file}"),
}
"""The template of each scheduler, and the command that submits what is made of it."""


def launch(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    on: Annotated[Scheduler, typer.Option("--on", help="What starts the processes.")] = "torchrun",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="How many machines.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus-per-node", min=1, help="Processes on each of them.")] = 1,
    wishes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of sbatch, such as time=12:00:00."),
    ] = None,
    prepare: Annotated[bool, typer.Option(help="Prepare the documents first, on one node.")] = True,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it there.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Print the script that trains a run with torchrun or Slurm. docs/launching.md has Kubernetes and SkyPilot."""
    loaded, run = open_run(recipe, overrides, runs)
    plan = plan_or_refuse(loaded, run, recipe_file(recipe))
    options = _options(on, wishes or [], gpus)
    recipe, runs = recipe.absolute(), runs.absolute()
    name, command = FILES[on]
    text = _template(name).render(
        name=loaded.name,
        python=shlex.quote(sys.executable),
        arguments=shlex.join([str(recipe), *(overrides or ()), "--runs", str(runs)]),
        logs=shlex.quote(str(runs / loaded.name / "logs")),
        nodes=nodes,
        gpus=gpus,
        prepare=prepare,
        options=options,
        grace=GRACE_SECONDS,
        port=PORT,
    )
    _warn_of_idle_ranks(plan, nodes * gpus)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_atomic(output, text)
    console.print(f"Wrote {output}. Submit it with: {command.format(file=output)}")


def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # shell: `shlex` quotes what is put in
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _options(on: Scheduler, wishes: list[str], gpus: int) -> dict[str, str]:
    """Options of sbatch, those that are wished for and those that it needs; none for torchrun."""
    options = {"time": "24:00:00", "cpus-per-task": str(CORES_PER_GPU * gpus)} if on == "slurm" else {}
    for wish in wishes:
        key, equals, value = wish.partition("=")
        if not equals or "\n" in wish:
            raise SapwoodError(f"--set {wish}: expected NAME=VALUE, such as time=12:00:00.")
        if on != "slurm":
            raise SapwoodError(f"--set {wish}: {on} has no options. They are sbatch's: add --on slurm.")
        options[key] = value
    return options


def _warn_of_idle_ranks(plan: Plan, ranks: int) -> None:
    for stage in plan.stages:
        if stage.batch_sequences < ranks:
            console.print(
                f"Stage '{stage.name}' has {stage.batch_sequences} sequences in a batch, and there are {ranks} "
                "processes: some will have nothing to do. Raise training.batch_tokens.",
                style="yellow",
            )
