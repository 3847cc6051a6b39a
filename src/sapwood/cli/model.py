"""The kind of a recipe's model: observed once, shown in the plan, refused where it cannot be trained."""

from __future__ import annotations

from pathlib import Path

from sapwood.cli.output import Output, print_note
from sapwood.errors import SapwoodError
from sapwood.recipe import Recipe
from sapwood.recipe.document import line_of


def print_delimiters(recipe: Recipe, model: Path, file: Path | None) -> None:
    """Prints how texts begin and end. `file` is that of the recipe.

    Raises SapwoodError, with the recipe's line, where it names a token that the tokenizer does not have.
    """
    from sapwood.backbone.tokenizer import DelimiterError, open_tokenizer

    opened = open_tokenizer(model)
    try:
        delimiters = opened.delimiters(recipe.tokenizer.begin, recipe.tokenizer.end)
    except DelimiterError as error:
        raise SapwoodError(f"{line_of(file, ('tokenizer', error.field))}: {error.message}") from None
    console = Output()
    begin, end = opened.around(delimiters)
    console.print(f"\nTexts begin with {begin or 'nothing'} and end with {end}", soft_wrap=True)
    for note in opened.notes:
        print_note(console, note)
    if opened.begin is not None and delimiters.begin != opened.begin:
        own = " ".join(opened.spelled(number) for number in opened.begin) or "nothing"
        print_note(
            console,
            f"the model's tokenizer begins them with {own}, and goes on doing so for those who use the adapted model. "
            "Part of what is measured will be the change from one to the other.",
        )


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
