"""What `sapwood --help` lists without importing it is what the verbs are."""

from __future__ import annotations

import inspect

import pytest
import typer

from sapwood.cli.main import TABLES, VERBS, app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_all_verbs_are_listed() -> None:
    assert list(COMMANDS) == list(VERBS)
    assert VERBS.keys() > TABLES


@pytest.mark.parametrize("name", VERBS)
def test_a_line_is_the_first_of_the_verb_itself(name: str) -> None:
    described = inspect.cleandoc(COMMANDS[name].loaded.help)
    assert VERBS[name] == " ".join(described.split("\n\n")[0].split())
