"""`sapwood audit`: what was trained on when."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from sapwood.cli.common import RunArgument
from sapwood.cli.output import Output
from sapwood.mixture.audit import Known, Spike, Use
from sapwood.pipeline.ledger import SHOWN_DIGITS
from sapwood.pipeline.ledger import audit as look_up
from sapwood.progress import console

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
    found = look_up(run, step=step, document=document, spike=spike)
    if document is not None and not found.documents:
        console.print("This document is waiting: no step has trained on it.")
    if spike is not None:
        _print_spikes(found.spikes, lines=lines)
    _print_documents(found.documents, lines=lines)


def _print_documents(rows: Sequence[tuple[Use, Known]], *, lines: bool) -> None:
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


def _print_spikes(worst: Sequence[Spike], *, lines: bool) -> None:
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
