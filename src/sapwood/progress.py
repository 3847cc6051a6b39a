"""What a user sees of long work: one console, progress bars with the time left, plain lines in a log."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.errors import MarkupError
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

PLAIN_LINE_SECONDS = 15.0


class Screen(Console):
    """A console on which text is text: control characters in it are shown, not obeyed, and so is markup that is none.

    Names, answers of servers and pages come from outside; an escape sequence in one of them could move the cursor,
    rename the window, or write over what was said before.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as rich styles it."""
        visible = shown(text)
        try:
            return super().render_str(visible, **options)
        except MarkupError:  # a closing tag that closes nothing, such as [/x] in a name
            return super().render_str(visible, **{**options, "markup": False})


def shown(text: str) -> str:
    """The text with its control characters, but for new lines and tabs, spelled out.

    >>> shown("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


# Those of C0 and C1, and those that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

console = Screen(stderr=True, quiet=int(os.environ.get("RANK", "0")) > 0, highlight=False, markup=False, soft_wrap=True)
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
