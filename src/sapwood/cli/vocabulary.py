"""`sapwood vocabulary`: how well a model's tokenizer fits some texts, and a model with more pieces for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.cli.common import ModelArgument
from sapwood.cli.output import Output, with_json
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.progress import console
from sapwood.recipe.units import parse_bytes
from sapwood.report.table import Table, count, number, share

if TYPE_CHECKING:
    from sapwood.backbone.vocabulary.measure import Fertility

ColumnOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column, or JSON key, of files that holds the text.")
]

vocabulary = typer.Typer(help="Measure how well a tokenizer fits some texts; extend a model's vocabulary for them.")


@vocabulary.command()
@with_json
def measure(
    model: ModelArgument,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|FILES...", help="A recipe, for its sources; or files and patterns, a row each."),
    ],
    column: ColumnOption = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model's tokenizer beside it; may be repeated.")
    ] = None,
    size: Annotated[str, typer.Option("--bytes", metavar="BYTES", help="How much text of each row is read.")] = "4MiB",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the counts as JSON.")] = None,
) -> None:
    """Count how many tokens a model needs for some texts, and how many characters it spells in parts."""
    from sapwood.pipeline.base_model import measure_vocabulary

    found = measure_vocabulary(model, texts, column=column, compare=compare or (), size=_bytes(size))
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
    column: ColumnOption = None,
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
    from sapwood.pipeline.base_model import extend_vocabulary

    extended = extend_vocabulary(
        model, text, size, output, column=column, keep=keep or (), length=_bytes(length), pad_to=pad_to
    )
    _print_fertility(extended.fertility)
    if extended.pieces < size:
        console.print(f"Only {extended.pieces:,} of {size:,} pieces: the texts hold no more that are frequent enough.")
    console.print(
        f"Pieces: {extended.pieces:,} more, from id {extended.first_id:,} on. Rows of the embeddings: "
        f"{extended.rows_before:,} before, {extended.rows:,} now. In {extended.seconds:,.0f} s.\n"
        f"The model is in {output}. In the recipe, let its embeddings settle before everything is trained:\n"
        f"  model: {output.resolve()}\n"
        "  stages:\n"
        "    - {name: embeddings, tokens: ..., mixture: {...}, trainable: [embeddings]}\n"
        "    - ..."
    )


def _bytes(text: str) -> int:
    try:
        number = parse_bytes(text)
    except ValueError as error:
        raise SapwoodError(f"--bytes {text}: {error}") from None
    if not number:
        raise SapwoodError("--bytes is 0: write how much text to read, such as 4MiB.")
    return number


def _print_fertility(found: Mapping[str, Mapping[str, Fertility]]) -> None:
    """Prints a row for every group of texts and tokenizer; `×` compares tokens with those of the first tokenizer."""
    several = len(found) > 1
    table = Table(
        *("texts", *(["tokenizer"] if several else []), "MB", "tokens", *(["×"] if several else [])),
        *("per character", "per byte", "bytes each", "characters cut"),
    )
    first = next(iter(found.values()))
    for group, base in first.items():
        for name, groups in found.items():
            one = groups[group]
            table.add(
                group,
                *([name] if several else []),
                number(one.bytes / 1e6, 1),
                count(one.tokens),
                *([number(one.tokens / base.tokens, 2)] if several else []),
                number(one.per_character),
                number(one.per_byte),
                number(one.bytes / one.tokens, 2),
                share(one.cut_share),
            )
    Output().print(table)
