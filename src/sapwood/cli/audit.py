"""`sapwood audit`: what was trained on when."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.cli.common import RunArgument
from sapwood.cli.output import Output
from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.mixture.audit import Spike, Use, documents_of, look_up, positions_of, spikes, uses_of
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import source_of
from sapwood.pipeline.encoder import open_encoder
from sapwood.pipeline.handle import open_begun
from sapwood.progress import console
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import read_metrics

SHOWN_DIGITS = 12
"""So much of an id is shown, and enough to look it up: two of a million documents share it once in 560 corpora."""
LEAST_DIGITS = 4
BEGINNING_CHARACTERS = 48


def audit(
    run: RunArgument,
    step: Annotated[int | None, typer.Option(help="List the documents of this step.")] = None,
    document: Annotated[
        str | None, typer.Option(help="List the steps that trained on the document with this id, or beginning of one.")
    ] = None,
    spike: Annotated[
        int | None, typer.Option(help="List so many steps whose loss stood out, and the documents of the worst.")
    ] = None,
    lines: Annotated[bool, typer.Option("--jsonl", help="Print JSON lines in place of tables.")] = False,
) -> None:
    """Look up which documents a step trained on, which steps trained on a document, or which steps stood out."""
    if sum(option is not None for option in (step, document, spike)) != 1:
        raise SapwoodError("Say what to look up: --step N, --document ID, or --spike N.")
    directory, stream = open_begun(run)
    steps = read_metrics(directory.metrics)
    if document is not None:
        if not LEAST_DIGITS <= len(document) <= 32 or set(document) - set("0123456789abcdef"):
            raise SapwoodError(
                f"'{document}' is no document id: ids are 32 hexadecimal digits, of which `--step` lists the first "
                f"{SHOWN_DIGITS}; {LEAST_DIGITS} are enough where no other id begins with them."
            )
        found = uses_of(stream, steps, document)
        if not found:
            console.print("This document is waiting: no step has trained on it.")
        _print_uses(directory, stream, found, lines=lines)
        return
    if spike is not None:
        worst = spikes(steps, spike)
        if not worst:
            raise SapwoodError("Too few steps were logged to tell which stand out.")
        _print_spikes(worst, lines=lines)
        step = worst[0].step
    if step is not None:
        _print_uses(directory, stream, list(documents_of(stream, step, positions_of(steps, step))), lines=lines)


def _print_uses(run: RunDirectory, stream: Stream, uses: list[Use], *, lines: bool) -> None:
    recipe = load_recipe(run.recipe)
    encoder = open_encoder(recipe, resolve(recipe.model, default_cache()))
    known = look_up(partial(store_of, run), stream, uses, encoder)
    rows = [(use, known[source_of(use.domain), use.document]) for use in uses]
    if lines:
        _print_lines({**asdict(use), **asdict(about)} for use, about in rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("step", "sequence"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("tokens", "id"):
        table.add_column(title, no_wrap=True)
    for title in ("domain", "origin", "topic"):
        table.add_column(title, overflow="fold")
    table.add_column("begins", overflow="fold")
    for use, about in rows:
        span = f"{use.start}–{use.start + use.tokens - 1}"
        place = (str(use.step), str(use.position), span, about.id[:SHOWN_DIGITS])
        named = (use.domain, about.origin, about.topic or "", about.beginning[:BEGINNING_CHARACTERS])
        table.add_row(*place, *map(Text, named))
    Output().print(table)


def _print_spikes(worst: list[Spike], *, lines: bool) -> None:
    if lines:
        _print_lines(asdict(spike) for spike in worst)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("step", "loss", "usual", "deviations above"):
        table.add_column(title, justify="right")
    for spike in worst:
        table.add_row(str(spike.step), f"{spike.loss:.4f}", f"{spike.usual:.4f}", f"{spike.deviations:+.1f}")
    Output().print(table)


def _print_lines(records: Iterable[dict[str, object]]) -> None:
    for record in records:
        sys.stdout.buffer.write(orjson.dumps(record) + b"\n")
    sys.stdout.buffer.flush()
