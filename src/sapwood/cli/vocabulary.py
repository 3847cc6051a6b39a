"""`sapwood vocabulary`: how well a model's tokenizer fits some texts, and a model with more pieces for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import ModelArgument
from sapwood.cli.output import Output, with_json
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.pipeline.locking import writing
from sapwood.progress import console
from sapwood.recipe import load_recipe
from sapwood.recipe.data import Normalise, Source
from sapwood.recipe.units import parse_bytes

if TYPE_CHECKING:
    from sapwood.backbone.vocabulary.measure import Fertility

vocabulary = typer.Typer(help="Measure how well a tokenizer fits some texts; extend a model's vocabulary for them.")


@vocabulary.command()
@with_json
def measure(
    model: ModelArgument,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|FILES...", help="A recipe, for its sources; or files and patterns, a row each."),
    ],
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model's tokenizer beside it; may be repeated.")
    ] = None,
    size: Annotated[str, typer.Option("--bytes", metavar="BYTES", help="How much text of each row is read.")] = "4MiB",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the counts as JSON.")] = None,
) -> None:
    """Count how many tokens a model needs for some texts, and how many characters it spells in parts."""
    from sapwood.backbone.vocabulary.measure import measure as measure_texts

    directories = {name: resolve(name, default_cache(), weights=False) for name in [model, *(compare or ())]}
    groups = _recipe_groups(texts[0], size) if _is_recipe(texts) else _file_groups("measure", texts, size)
    found = {name: measure_texts(directory, groups) for name, directory in directories.items()}
    _print_fertility(found)
    if output is not None:
        write_json(
            output, {name: {group: asdict(one) for group, one in groups.items()} for name, groups in found.items()}
        )


@vocabulary.command()
def extend(
    model: ModelArgument,
    text: Annotated[
        list[str],
        typer.Option(metavar="FILES", help="Text to learn pieces from: a file or a pattern; may be repeated."),
    ],
    size: Annotated[int, typer.Option(metavar="N", help="How many pieces to add.", min=1)],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The directory to write the new model into.")],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILES", help="Text that is to keep its tokens: no piece in it is added; may be repeated."
        ),
    ] = None,
    length: Annotated[
        str, typer.Option("--bytes", metavar="BYTES", help="How much text of each --text and --keep is read.")
    ] = "32MiB",
    pad_to: Annotated[int, typer.Option(help="A table that grows gets a multiple of so many rows.", min=1)] = 64,
) -> None:
    """Write a model whose tokenizer has more pieces, learned from texts, each the mean of the pieces it is made of."""
    from sapwood.backbone.vocabulary.extend import extend as extend_model
    from sapwood.backbone.vocabulary.measure import measure as measure_texts

    source = resolve(model, default_cache())
    learned, kept = _file_groups("--text", text, length), _file_groups("--keep", keep or [], length)
    with writing(output, replaced=True):
        manifest = extend_model(source, _flat(learned), _flat(kept), output, size=size, multiple=pad_to)
    groups = learned | {f"{name} (kept)": texts for name, texts in kept.items()}
    _print_fertility({"before": measure_texts(source, groups), "after": measure_texts(output, groups)})
    counts = manifest.counts
    if counts["pieces"] < size:
        console.print(f"Only {counts['pieces']:,} of {size:,} pieces: the texts hold no more that are frequent enough.")
    console.print(
        f"Pieces: {counts['pieces']:,} more, from id {counts['first_id']:,} on. Rows of the embeddings: "
        f"{counts['rows_before']:,} before, {counts['rows']:,} now. In {manifest.seconds:,.0f} s.\n"
        f"The model is in {output}. In the recipe, let its embeddings settle before everything is trained:\n"
        f"  model: {output.resolve()}\n"
        "  stages:\n"
        "    - {name: embeddings, tokens: ..., mixture: {...}, trainable: [embeddings]}\n"
        "    - ..."
    )


def _is_recipe(texts: Sequence[str]) -> bool:
    recipes = [text for text in texts if text.endswith((".yaml", ".yml")) or (Path(text) / "recipe.yaml").exists()]
    if recipes and len(texts) > 1:
        raise SapwoodError(f"{recipes[0]} is a recipe: give one recipe, or files alone.")
    return bool(recipes)


def _recipe_groups(reference: str, size: str) -> dict[str, list[str]]:
    """Texts of every source of a recipe that has files."""
    from sapwood.corpus.sample import sample_texts

    path = Path(reference)
    recipe = load_recipe(path / "recipe.yaml" if path.is_dir() else path)
    sources = {name: source for name, source in recipe.sources.items() if source.files}
    if not sources:
        raise SapwoodError(f"No source of {path} names files.")
    limit = _bytes(size)
    return {name: sample_texts(name, source, recipe.corpus.normalise, limit) for name, source in sources.items()}


def _file_groups(option: str, patterns: Sequence[str], size: str) -> dict[str, list[str]]:
    """Texts of every pattern, by what sets it apart from the others."""
    from sapwood.corpus.sample import sample_texts

    limit = _bytes(size)
    folders = [pattern.split("/")[:-1] for pattern in patterns]
    shared = len(os.path.commonprefix(folders))  # noqa: RUF071 - of lists, by element
    return {
        "/".join(pattern.split("/")[shared:]): sample_texts(option, Source(files=[pattern]), Normalise(), limit)
        for pattern in patterns
    }


def _bytes(text: str) -> int:
    try:
        number = parse_bytes(text)
    except ValueError as error:
        raise SapwoodError(f"--bytes {text}: {error}") from None
    if not number:
        raise SapwoodError("--bytes is 0: write how much text to read, such as 4MiB.")
    return number


def _flat(groups: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for texts in groups.values() for text in texts]


def _print_fertility(found: Mapping[str, Mapping[str, Fertility]]) -> None:
    """Prints a row for every group of texts and tokenizer; `×` compares tokens with those of the first tokenizer."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len(found) > 1
    table.add_column("texts")
    if several:
        table.add_column("tokenizer")
    for title in (
        "MB",
        "tokens",
        *(("×",) if several else ()),
        "per character",
        "per byte",
        "bytes each",
        "characters cut",
    ):
        table.add_column(title, justify="right")
    first = next(iter(found.values()))
    for group, base in first.items():
        for name, groups in found.items():
            one = groups[group]
            table.add_row(
                group if groups is first else "",
                *([name] if several else []),
                f"{one.bytes / 1e6:.1f}",
                f"{one.tokens:,}",
                *([f"{one.tokens / base.tokens:.2f}"] if several else []),
                f"{one.per_character:.3f}",
                f"{one.per_byte:.3f}",
                f"{one.bytes / one.tokens:.2f}",
                "–" if one.cut_share is None else f"{one.cut_share:.1%}",
            )
    Output().print(table)
