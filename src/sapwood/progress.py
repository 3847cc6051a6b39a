"""What a user sees of long work: one console, progress bars with the time left, plain lines in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_LINE_SECONDS = 15.0

console = Console(
    stderr=True, quiet=int(os.environ.get("RANK", "0")) > 0, highlight=False, markup=False, soft_wrap=True
)
"""Where everything for the user's eyes goes; silent on all ranks but the first."""


class Advance(Protocol):
    """Reports progress: how much more is done, and a remark to show beside it."""

    def __call__(self, amount: int, remark: str = "") -> None: ...


@contextmanager
def track(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Shows progress of `title` towards `total`; `done` of it was done before (a resumed run)."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}", style="dim"),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(title, total=total, completed=done, remark="")
            yield lambda amount, remark="": progress.update(task, advance=amount, remark=remark)
    else:
        yield _plain_lines(title, total, done)


def _plain_lines(title: str, total: int, done: int) -> Advance:
    start = last = time.monotonic()
    at_start, reached = done, done

    def advance(amount: int, remark: str = "") -> None:
        nonlocal last, reached
        reached += amount
        now = time.monotonic()
        if now - last < PLAIN_LINE_SECONDS and reached < total:
            return
        last = now
        left = (now - start) / max(reached - at_start, 1e-9) * (total - reached)
        console.print(f"{title}: {reached:,.0f}/{total:,.0f}, {left:,.0f} s left {remark}".rstrip())

    return advance
