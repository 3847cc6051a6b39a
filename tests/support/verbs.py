"""The verbs, called as the command line calls them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app, main


def sapwood(*arguments: object) -> str:
    """Runs a verb in this process and gives what it printed to standard output."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a verb that must fail as a user sees it, and gives the message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sapwood", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
    assert caught.value.code == 1
    return capsys.readouterr().err.replace("\n", " ").strip()
