"""What the verbs share: their arguments, and opening the run they are about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sapwood.errors import SapwoodError
from sapwood.mixture.decided import RUNS, open_run, plan_or_refuse
from sapwood.mixture.domains import domains_of
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.open import open_stream, read_sizes
from sapwood.mixture.stream import Stream
from sapwood.pipeline.locking import writing
from sapwood.runs.directory import RunDirectory

__all__ = [
    "RUNS",
    "ModelArgument",
    "OverridesArgument",
    "RecipeArgument",
    "RunArgument",
    "RunsOption",
    "labels",
    "open_begun",
    "open_run",
    "plan_or_refuse",
    "writing",
]

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file, or the directory of a run.")
]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A directory, a name on the Hugging Face hub, or a GGUF file.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH=VALUE", help="Fields to set, such as training.batch_tokens=8K or seed=1."),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where runs are kept; this one in a directory of its name.")]


def open_begun(path: Path) -> tuple[RunDirectory, Stream]:
    """The run in a directory, which has begun to train, and its stream. Raises SapwoodError where there is none."""
    if not (path / "ledger.jsonl").exists():
        raise SapwoodError(f"{path} is not the directory of a run that has begun: it has no ledger.jsonl.")
    recipe, run = open_run(path, (), path.parent)
    domains = domains_of(recipe, read_sizes(recipe, run))
    return run, open_stream(recipe, run, Ledger(run.ledger, writable=False), domains)


def labels(paths: Sequence[str]) -> dict[str, str]:
    """What each of several models or runs is called: the end of its path, as much of it as tells it from the others.

    Raises SapwoodError where one is named twice.
    """
    parts = {path: tuple(part for part in re.split(r"[/\\@:]+", path) if part) for path in paths}
    if len(set(parts.values())) < len(paths):
        raise SapwoodError("The same is named twice: nothing can be compared with itself.")
    depth = 1
    while len({names[-depth:] for names in parts.values()}) < len(parts):
        depth += 1
    return {"-".join(names[-depth:]): path for path, names in parts.items()}
