"""`sapwood audit`: what was trained on when."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import orjson
import typer

from sapwood.cli.common import RunArgument
from sapwood.cli.output import Output
from sapwood.mixture.audit import Known, Spike, Use
from sapwood.pipeline.ledger import SHOWN_DIGITS
from sapwood.pipeline.ledger import audit as look_up
from sapwood.progress import console
from sapwood.report.table import Table, change, count, number

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
    columns = "step", "sequence", "tokens", "id", "domain", "origin", "topic", "begins"
    table = Table(*columns, folded=columns[4:])
    for use, about in rows:
        span = f"{use.start}–{use.start + use.tokens - 1}"
        named = (use.domain, about.origin, about.topic, about.beginning[:BEGINNING_CHARACTERS])
        table.add(count(use.step), count(use.position), span, about.id[:SHOWN_DIGITS], *named)
    Output().print(table)


def _print_spikes(worst: Sequence[Spike], *, lines: bool) -> None:
    if lines:
        _print_lines(asdict(spike) for spike in worst)
        return
    table = Table("step", "loss", "usual", "deviations above")
    for spike in worst:
        table.add(count(spike.step), number(spike.loss, 4), number(spike.usual, 4), change(spike.deviations, 1))
    Output().print(table)


def _print_lines(records: Iterable[dict[str, object]]) -> None:
    for record in records:
        sys.stdout.buffer.write(orjson.dumps(record) + b"\n")
    sys.stdout.buffer.flush()
