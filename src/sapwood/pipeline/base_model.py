"""What can be done to a base model before a run: more pieces in its vocabulary, more blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.errors import SapwoodError, argument
from sapwood.pipeline.handle import writing
from sapwood.recipe import load_recipe
from sapwood.recipe.data import Normalise, Source

if TYPE_CHECKING:
    from sapwood.backbone.vocabulary.measure import Fertility

MIB = 2**20


@dataclass(frozen=True, slots=True)
class ExtendedVocabulary:
    """A model with more pieces in its vocabulary."""

    model: Path
    pieces: int
    """How many were added; fewer than asked for where the texts hold no more that are frequent enough."""
    first_id: int
    """The id of the first of them."""
    rows_before: int
    rows: int
    """Of the embeddings."""
    seconds: float
    fertility: Mapping[str, Mapping[str, Fertility]]
    """Of the tokenizer `before` and `after`, on each group of texts."""


@dataclass(frozen=True, slots=True)
class ExpandedModel:
    """A model with more blocks, which computes the same."""

    model: Path
    blocks_before: int
    blocks: int
    parameters_before: int
    parameters: int
    trainable: tuple[str, ...]
    """Patterns of the new weights, for `training.trainable` in the recipe."""
    seconds: float


def measure_vocabulary(
    model: str | Path,
    texts: Sequence[str],
    *,
    column: str | None = None,
    compare: Sequence[str] = (),
    size: int = 4 * MIB,
) -> dict[str, dict[str, Fertility]]:
    """How many tokens a model needs for some texts, and how many characters it spells in parts: by model, by texts.

    `texts` is one recipe, for its sources, or files and patterns, whose texts stand in `column` (`text`, if not given).
    `compare` names other models, whose tokenizers are measured beside it. `size` bytes of each group of texts are read.
    Weights are not needed. Raises SapwoodError where a file cannot be read, or holds no text, and where a column is
    given for a recipe, whose sources name their own.
    """
    from sapwood.backbone.vocabulary.measure import measure

    names = [str(model), *compare]
    directories = {name: resolve(name, default_cache(), weights=False) for name in names}
    if not _is_recipe(texts):
        groups = _file_groups("measure", texts, column, size)
    elif column is None:
        groups = _recipe_groups(texts[0], size)
    else:
        raise SapwoodError(
            f"{argument('column', column)} is for files: the sources of {texts[0]} name their own, with `text:`."
        )
    return {name: measure(directory, groups) for name, directory in directories.items()}


def extend_vocabulary(
    model: str | Path,
    text: Sequence[str],
    size: int,
    output: str | Path,
    *,
    column: str | None = None,
    keep: Sequence[str] = (),
    length: int = 32 * MIB,
    pad_to: int = 64,
) -> ExtendedVocabulary:
    """Writes a model whose tokenizer has `size` more pieces, learned from the files `text`, as the directory `output`.

    Each piece starts as the mean of those it is made of. The files in `keep` get no other tokens than before. The texts
    of all files stand in `column` (`text`, if not given); `length` bytes of each are read. A table that grows gets a
    multiple of `pad_to` rows. Raises SapwoodError where something is at `output`, and for tokenizers that cannot be
    extended.
    """
    from sapwood.backbone.vocabulary.extend import extend
    from sapwood.backbone.vocabulary.measure import measure

    source, target = resolve(str(model), default_cache()), Path(output)
    learned = _file_groups(argument("text"), text, column, length)
    kept = _file_groups(argument("keep"), keep, column, length)
    with writing(target, replaced=True):
        manifest = extend(source, _flat(learned), _flat(kept), target, size=size, multiple=pad_to)
    groups = learned | {f"{name} (kept)": texts for name, texts in kept.items()}
    return ExtendedVocabulary(
        model=target,
        pieces=manifest.counts["pieces"],
        first_id=manifest.counts["first_id"],
        rows_before=manifest.counts["rows_before"],
        rows=manifest.counts["rows"],
        seconds=manifest.seconds,
        fertility={"before": measure(source, groups), "after": measure(target, groups)},
    )


def expand(model: str | Path, blocks: int, output: str | Path) -> ExpandedModel:
    """Writes a model with `blocks` more blocks, which change nothing until they are trained, as the directory `output`.

    They are copies of its own, evenly spread.

    Raises SapwoodError where the model has fewer blocks than that, or of a kind that cannot be made to change nothing.
    """
    from sapwood.backbone.expand import expand as expand_model

    target = Path(output)
    with writing(target, replaced=True):
        manifest, names = expand_model(resolve(str(model), default_cache()), target, blocks)
    return ExpandedModel(
        model=target,
        blocks_before=manifest.counts["blocks_before"],
        blocks=manifest.counts["blocks"],
        parameters_before=manifest.counts["parameters_before"],
        parameters=manifest.counts["parameters"],
        trainable=tuple(f"{name}.*" for name in names),
        seconds=manifest.seconds,
    )


def _is_recipe(texts: Sequence[str]) -> bool:
    recipes = [text for text in texts if text.endswith((".yaml", ".yml")) or (Path(text) / "recipe.yaml").exists()]
    if recipes and len(texts) > 1:
        raise SapwoodError(f"{recipes[0]} is a recipe: give one recipe, or files alone.")
    return bool(recipes)


def _recipe_groups(reference: str, size: int) -> dict[str, list[str]]:
    """Texts of every source of a recipe that has files."""
    from sapwood.corpus.read import sample_texts

    path = Path(reference)
    recipe = load_recipe(path / "recipe.yaml" if path.is_dir() else path)
    sources = {name: source for name, source in recipe.sources.items() if source.files}
    if not sources:
        raise SapwoodError(f"No source of {path} names files.")
    return {name: sample_texts(name, source, recipe.corpus.normalise, size) for name, source in sources.items()}


def _file_groups(option: str, patterns: Sequence[str], column: str | None, size: int) -> dict[str, list[str]]:
    """Texts of every pattern, by what sets it apart from the others."""
    from sapwood.corpus.read import sample_texts

    folders = [pattern.split("/")[:-1] for pattern in patterns]
    shared = len(os.path.commonprefix(folders))  # noqa: RUF071 - of lists, by element
    return {
        "/".join(pattern.split("/")[shared:]): sample_texts(
            option, Source(files=[pattern], text=column or "text"), Normalise(), size
        )
        for pattern in patterns
    }


def _flat(groups: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for texts in groups.values() for text in texts]
