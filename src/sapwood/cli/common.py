"""What the verbs share: their arguments, and opening the run they are about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.manifest import read_manifest
from sapwood.mixture.plan import Plan, make_plan, unavailable
from sapwood.recipe import Recipe, load_recipe
from sapwood.recipe.load import line_of

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file, or the directory of a run.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH=VALUE", help="Fields to set, such as training.batch_tokens=8K or seed=1."),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where runs are kept; this one in a directory of its name.")]
RUNS = Path("runs")


def open_run(path: Path, overrides: Iterable[str] | None, runs: Path) -> tuple[Recipe, RunDirectory]:
    """Reads the recipe at `path` and finds its run directory; `path` may be the run directory itself."""
    if path.is_dir():
        recipe = load_recipe(path / "recipe.yaml", list(overrides or ()))
        return recipe, RunDirectory(path)
    recipe = load_recipe(path, list(overrides or ()))
    return recipe, RunDirectory(runs / recipe.name)


def measured_sizes(recipe: Recipe, run: RunDirectory) -> dict[str, int]:
    """The tokens to train on in every source that is prepared."""
    manifests = {source: read_manifest(run.tokens(source)) for source in recipe.sources}
    return {source: manifest.counts["train_tokens"] for source, manifest in manifests.items() if manifest}


def plan_or_refuse(recipe: Recipe, run: RunDirectory, path: Path, *, to_train: bool) -> Plan:
    """The plan of the recipe read from `path`. Raises SapwoodError, with lines, when it cannot work.

    With `to_train` that includes what this version can plan but not carry out.
    """
    plan = make_plan(recipe, measured_sizes(recipe, run))
    refusals = [*plan.refusals, *(unavailable(recipe) if to_train else ())]
    if refusals:
        file = path / "recipe.yaml" if path.is_dir() else path
        raise SapwoodError("\n".join(f"{line_of(file, place)}: {message}" for place, message in refusals))
    return plan
