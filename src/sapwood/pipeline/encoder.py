"""The tokenizer of a recipe's model, with texts that begin and end as the recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.errors import SapwoodError
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest

if TYPE_CHECKING:
    from sapwood.backbone.encode import Encoder


def open_encoder(recipe: Recipe, model: Path) -> Encoder:
    """The tokenizer in the directory `model`, with texts that begin and end as the recipe says."""
    from sapwood.backbone.encode import Encoder

    return Encoder.load(model, recipe.tokenizer.begin, recipe.tokenizer.end)


def scoring_model(recipe: Recipe, backbone: Path) -> tuple[Path, Encoder]:
    """The directory of the model that scores documents, and its tokenizer: the one that the recipe names for it, whose
    texts begin as its own tokenizer says, or the base model."""
    from sapwood.backbone.encode import Encoder

    perplexity = recipe.corpus.perplexity
    if perplexity is None or perplexity.model is None:
        return backbone, open_encoder(recipe, backbone)
    directory = resolve(perplexity.model, default_cache())
    return directory, Encoder.load(directory)


def refuse_other_tokens(run: RunDirectory, recipe: Recipe, encoder: Encoder) -> None:
    """Raises SapwoodError where the run's token shards were made by another tokenizer, or with other beginnings."""
    for source in recipe.sources:
        made = read_manifest(run.tokens(source))
        if made is not None and made.settings.get("tokenizer") != encoder.fingerprint:
            raise SapwoodError(
                f"The tokens of '{source}' were made by another tokenizer than the model's, or begin and end otherwise "
                "than the recipe says now. Run `sapwood prepare` again."
            )
