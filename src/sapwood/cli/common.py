"""What the verbs share: their arguments, and opening the run they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sapwood.mixture.decided import RUNS
from sapwood.pipeline.handle import Run
from sapwood.pipeline.handle import open_run as find_run

__all__ = ["RUNS", "ModelArgument", "OverridesArgument", "RecipeArgument", "RunArgument", "RunsOption", "open_run"]

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


def open_run(path: Path, overrides: list[str] | None, runs: Path) -> Run:
    """The run of the recipe at `path`, or in that directory, with fields set as on the command line."""
    return find_run(path, overrides or (), runs)
