"""`sapwood launch`: the script or manifest with which a scheduler trains a run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption
from sapwood.errors import SapwoodError, closest
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

Scheduler = Literal["torchrun", "slurm", "kubernetes", "skypilot"]
FILES: dict[Scheduler, tuple[str, str]] = {
    "torchrun": ("torchrun.sh.j2", "bash {file}"),
    "slurm": ("slurm.sh.j2", "sbatch {file}"),
    "kubernetes": ("kubernetes.yaml.j2", "kubectl apply -f {file}"),
    "skypilot": ("skypilot.yaml.j2", "sky jobs launch {file}"),
}
"""The template of each scheduler, and the command that submits what is made of it."""
HERE: tuple[Scheduler, ...] = ("torchrun", "slurm")
"""Those whose nodes have this Python and these paths."""


def launch(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    on: Annotated[Scheduler, typer.Option("--on", help="What starts the processes.")] = "torchrun",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="How many machines.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus-per-node", min=1, help="Processes on each of them.")] = 1,
    wishes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="For the scheduler, such as time=12:00:00.")
    ] = None,
    prepare: Annotated[bool, typer.Option(help="Prepare the documents first, on one node.")] = True,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it there.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Print the script or manifest that trains a run: with torchrun, Slurm, Kubernetes or SkyPilot."""
    loaded, run = open_run(recipe, overrides, runs)
    plan = plan_or_refuse(loaded, run, recipe_file(recipe))
    settings = _settings(on, wishes or [], loaded.name, nodes, gpus)
    here = on in HERE
    if here:
        recipe, runs = recipe.absolute(), runs.absolute()
    elif on == "skypilot":
        runs = "/" / runs  # where the volume is mounted
    name, command = FILES[on]
    text = _template(name).render(
        name=loaded.name,
        label=re.sub(r"[^a-z0-9]+", "-", loaded.name.lower()).strip("-"),
        python=shlex.quote(sys.executable) if here else "python",
        arguments=shlex.join([str(recipe), *(overrides or ()), "--runs", str(runs)]),
        runs=str(runs),
        logs=shlex.quote(str(runs / loaded.name / "logs")),
        nodes=nodes,
        gpus=gpus,
        prepare=prepare,
        settings=settings,
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
        autoescape=False,  # shell and YAML: `shlex` and JSON quote what is put in
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda value: orjson.dumps(value).decode()  # JSON is YAML
    return environment.get_template(name)


def _settings(on: Scheduler, wishes: list[str], name: str, nodes: int, gpus: int) -> dict[str, str | None]:
    """What the template leaves open, with what is wished for. For Slurm that may be any option of sbatch."""
    known: dict[Scheduler, dict[str, str | None]] = {
        "torchrun": {},
        "slurm": {"time": "24:00:00", "cpus-per-task": str(CORES_PER_GPU * gpus)},
        "kubernetes": {"image": None, "claim": "sapwood"},
        "skypilot": {"gpu": "H100", "bucket": f"sapwood-{name}".lower(), "volume": None, "package": "sapwood"},
    }
    settings = known[on]
    for wish in wishes:
        key, equals, value = wish.partition("=")
        if not equals or "\n" in wish:
            raise SapwoodError(f"--set {wish}: expected NAME=VALUE, such as time=12:00:00.")
        if on != "slurm" and key not in settings:
            allowed = closest(key, settings) if settings else "It has none."
            raise SapwoodError(f"--set {wish}: {on} has no setting '{key}'. {allowed}")
        settings[key] = value
    if on == "kubernetes" and settings["image"] is None:
        raise SapwoodError("Kubernetes needs an image that has Sapwood in it: --set image=registry/name:tag")
    if on == "skypilot" and nodes > 1 and settings["volume"] is None:
        raise SapwoodError(
            "Several nodes must see the runs at once, and a bucket shows what another node wrote late or never. Name a "
            "volume (`sky volumes apply`): --set volume=NAME"
        )
    return settings


def _warn_of_idle_ranks(plan: Plan, ranks: int) -> None:
    for stage in plan.stages:
        if stage.batch_sequences < ranks:
            console.print(
                f"Stage '{stage.name}' has {stage.batch_sequences} sequences in a batch, and there are {ranks} "
                "processes: some will have nothing to do. Raise training.batch_tokens.",
                style="yellow",
            )
