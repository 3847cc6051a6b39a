"""The kind of a recipe's model: observed once, shown in the plan, refused where it cannot be trained."""

from __future__ import annotations

from pathlib import Path

from sapwood.cli.output import Output
from sapwood.recipe import Recipe


def print_traits(recipe: Recipe, model: Path) -> None:
    """Prints how the model in the directory `model` keeps documents apart, and how its loss is computed.

    Raises SapwoodError where the recipe's settings do not fit it.
    """
    from sapwood.training.probe import probe

    settings = recipe.training
    found = probe(model, settings)
    console = Output()
    console.print()
    for line in found.sentences(isolate_documents=settings.isolate_documents, chunked=settings.loss != "whole"):
        console.print(line, soft_wrap=True)
