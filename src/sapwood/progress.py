"""What a user sees of long work: one console, progress bars with the time left, plain lines in a log."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

PLAIN_LINE_SECONDS = 15.0


class Screen(Console):
    """A console on which text is text: markup, emoji codes and control characters in it are shown, not obeyed.

    Names, answers of servers and pages come from outside; `[red]` in one of them is part of it, and an escape sequence
    could move the cursor, rename the window, or write over what was said before. What is to be styled is a rich `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is."""
        return super().render_str(shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does; a `Text` too is without control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


def shown(text: str) -> str:
    """The text with its control characters, but for new lines and tabs, spelled out.

    >>> shown("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


# Those of C0 and C1, and those that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

console = Screen(stderr=True, quiet=int(os.environ.get("RANK", "0")) > 0, soft_wrap=True)
"""Where everything for the user's eyes goes; silent on all ranks but the first."""


class Advance(Protocol):
    """Reports progress: how much more is done, and a remark to show beside it."""

    def __call__(self, amount: int, remark: str = "") -> None: ...


@contextmanager
def track(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Shows progress of `title` towards `total`; `done` of it was done before (a resumed run)."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}", style="dim", markup=False),
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
