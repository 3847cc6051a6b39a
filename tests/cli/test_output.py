from __future__ import annotations

import io
import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.cli.output import Output, with_json
from sapwood.report.table import NOTHING, Table, change, count, margin, share

VERDICT = "kept, as far as can be told from so few items"


def table() -> Table:
    found = Table(
        "a source with a long name", "tokens", "share", "change", "verdict", title="a title", folded=["verdict"]
    )
    found.add("zh" * 30, count(1234567), share(0.125), margin(-0.0125, 0.003), VERDICT, tone="strong")
    found.add("[red]indented", NOTHING, share(0.25), change(-3.0), None, depth=1)
    return found


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, *, terminal: bool) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    console = Output()
    console.file = io.StringIO()
    console._force_terminal = terminal
    console.print(table())
    return console.file.getvalue()


@pytest.mark.parametrize("columns", [20, 80, 160])
def test_in_a_log_nothing_is_squeezed(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = shown(monkeypatch, columns, terminal=False).splitlines()
    assert len(lines) == 4
    assert lines[2].rstrip().endswith(VERDICT)
    assert "zh" * 30 in lines[2]


@pytest.mark.parametrize("columns", [20, 80, 160])
def test_on_a_terminal_no_column_is_lost(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    text = shown(monkeypatch, columns, terminal=True)
    for part in ("verdict", "items", "1,234,567", "0.003"):
        assert part in text


def test_json_has_every_table_and_nothing_else_on_standard_output() -> None:
    app = typer.Typer()

    def verb(name: Annotated[str, typer.Argument()], fail: Annotated[bool, typer.Option("--fail")] = False) -> None:
        console = Output()
        console.print(f"about {name}")
        console.print(table())
        if fail:
            raise typer.Exit(3)

    app.command()(with_json(verb))
    for arguments, status in (([], 0), (["--fail"], 3)):
        result = CliRunner().invoke(app, ["x", "--json", *arguments])
        assert result.exit_code == status
        assert "about x" in result.stderr
        (found,) = json.loads(result.stdout)["tables"]
        assert found["title"] == "a title"
        first, second = found["rows"]
        assert list(first.values()) == ["zh" * 30, 1234567, 0.125, -0.0125, VERDICT]
        assert list(second.values()) == ["[red]indented", None, 0.25, -3, None]
    assert "about x" in CliRunner().invoke(app, ["x"]).stdout


@pytest.mark.parametrize(
    "verb",
    [
        *("plan", "solve", "prepare", "evaluate", "compare", "account", "audit", "merge", "run", "checkpoint list"),
        *("synthesize run", "synthesize calibrate", "topics train", "topics apply", "vocabulary measure"),
    ],
)
def test_verbs_that_print_tables_print_json(verb: str) -> None:
    assert "--json " in CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "120"}).stdout
