"""The tokenizer of a recipe's model: opened with what the recipe says of it, shown in the plan, refused where it cannot
work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.cli.output import Output, print_note
from sapwood.errors import SapwoodError
from sapwood.recipe import Recipe
from sapwood.recipe.document import line_of
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest

if TYPE_CHECKING:
    from sapwood.backbone.encode import Encoder


def open_encoder(recipe: Recipe, model: Path) -> Encoder:
    """The tokenizer in the directory `model`, with texts that begin and end as the recipe says."""
    from sapwood.backbone.encode import Encoder

    return Encoder.load(model, recipe.tokenizer.begin, recipe.tokenizer.end)


def print_delimiters(recipe: Recipe, model: Path, path: Path) -> None:
    """Prints how texts begin and end. `path` is that of the recipe.

    Raises SapwoodError, with the recipe's line, where it names a token that the tokenizer does not have.
    """
    from sapwood.backbone.tokenizer import DelimiterError, open_tokenizer

    opened = open_tokenizer(model)
    try:
        delimiters = opened.delimiters(recipe.tokenizer.begin, recipe.tokenizer.end)
    except DelimiterError as error:
        file = path / "recipe.yaml" if path.is_dir() else path
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


def refuse_other_tokens(run: RunDirectory, recipe: Recipe, encoder: Encoder) -> None:
    """Raises SapwoodError where the run's token shards were made by another tokenizer, or with other beginnings."""
    for source in recipe.sources:
        made = read_manifest(run.tokens(source))
        if made is not None and made.settings.get("tokenizer") != encoder.fingerprint:
            raise SapwoodError(
                f"The tokens of '{source}' were made by another tokenizer than the model's, or begin and end otherwise "
                "than the recipe says now. Run `sapwood prepare` again."
            )
