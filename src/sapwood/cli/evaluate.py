"""`sapwood evaluate`: what the model predicted well before, and what it predicts well now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.cli.compare import print_comparison
from sapwood.cli.output import Output
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.report.judged import changes_table

if TYPE_CHECKING:
    from sapwood.pipeline.evaluate import Evaluated


def evaluate(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    checkpoint: Annotated[
        str | None, typer.Option(help="Measure this saved checkpoint instead, such as step-00000120.")
    ] = None,
) -> None:
    """Measure the base model and, once it is trained, the adapted model on the held-out documents."""
    from sapwood.pipeline.evaluate import evaluate as evaluate_models  # it imports scipy

    run = open_run(recipe, overrides, runs)
    evaluated = evaluate_models(run, checkpoint=checkpoint)
    if evaluated.after is None:
        console.print("The model is not trained yet: only the base model was measured.")
    else:
        print_verdict(run.recipe, evaluated)


def print_verdict(recipe: Recipe, evaluated: Evaluated) -> None:
    """Prints what was gained, kept and lost: one line for every ability the recipe names, and for every benchmark."""
    console = Output(stderr=True)
    console.print("Bits per byte of held-out text; a change above zero is better", style="italic")
    console.print(changes_table(evaluated.changes, recipe.evaluation.confidence))
    for comparison in evaluated.comparisons:
        print_comparison(console, comparison)
