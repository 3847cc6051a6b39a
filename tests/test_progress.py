"""What comes from outside is shown on a terminal, not obeyed."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from sapwood import progress
from sapwood.progress import Screen, shown

NASTY = ["a\x1b[2Jb", "a\x1b]0;title\x07b", "a\rb", "a\x9b2Jb", "a\u202eb", "a\x00b"]


@pytest.mark.parametrize("text", NASTY)
def test_control_characters_are_spelled_out(text: str) -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, color_system=None, width=80)
    screen.print(text)
    table = Table(text)
    table.add_row(text)
    screen.print(table)
    screen.print(Text(text))
    assert not [sign for sign in file.getvalue() if sign in text and not sign.isprintable()]
    assert file.getvalue().count(shown(text)) >= 3  # a Text drops bells and returns by itself


@pytest.mark.parametrize(
    "text", ["a [/b] of a [/kind]", "[red]x", "[link=https://example.org]x[/link]", "a [/]", "\\[bold]", ":apple:"]
)
def test_markup_is_shown(text: str) -> None:
    file = io.StringIO()
    screen = Screen(file=file, width=80, force_terminal=True, color_system="truecolor")
    screen.print(text)
    table = Table(text, title=text)
    table.add_row(text)
    screen.print(table)
    assert file.getvalue().count(text) == 4


def test_lines_stay_lines() -> None:
    assert shown("one\ttwo\nthree") == "one\ttwo\nthree"


def test_titles_of_progress_bars_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(progress, "console", Screen(file=file, force_terminal=True, color_system=None, width=120))
    with progress.track("source [/x] [red]", 2) as advance:
        advance(1, "[/b]")
    assert "source [/x] [red]" in file.getvalue()
    assert "[/b]" in file.getvalue()
