"""Messages name what their reader writes: arguments in Python, options at the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sapwood.cli.main import app
from sapwood.errors import argument, naming_options

SOURCE = Path(__file__).parents[1] / "src" / "sapwood"


@pytest.mark.parametrize(
    ("name", "value", "in_python", "at_the_command_line"),
    [
        ("max_epochs", None, "max_epochs", "--max-epochs"),
        ("ema", True, "ema=True", "--ema"),
        ("pull", 0.5, "pull=0.5", "--pull 0.5"),
        ("budget", "20M", "budget='20M'", "--budget 20M"),
        ("with_base", (0.25, 1.0), "with_base=(0.25, 1.0)", "--with-base 0.25,1"),
        ("weight", {"zh": 2, "en": 1}, "weight={'zh': 2, 'en': 1}", "--weight zh=2 --weight en=1"),
    ],
)
def test_arguments_are_named_as_the_reader_writes_them(
    name: str, value: Any, in_python: str, at_the_command_line: str
) -> None:
    assert argument(name, value) == in_python
    with naming_options():
        assert argument(name, value) == at_the_command_line
    assert argument(name, value) == in_python


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (option for option in parameter.opts if option.startswith("--"))
    for inner in getattr(command, "commands", {}).values():
        yield from _options(getattr(inner, "loaded", inner))  # a verb is imported when it is called


def _spoken(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are no documentation, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def test_only_the_command_line_names_its_options() -> None:
    """A message from elsewhere reaches callers in Python too. Whole commands (`sapwood run`) and words alone may."""
    options = set(_options(typer.main.get_command(app)))
    assert {"--runs", "--with-base"} <= options
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] not in ("cli", "report"):  # the latter has properties of style sheets
            for line, text in _spoken(path):
                named = {*re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)} & options
                assert not named or " " not in text or "sapwood " in text, (
                    f"{path.relative_to(SOURCE)}:{line} names {named}"
                )
