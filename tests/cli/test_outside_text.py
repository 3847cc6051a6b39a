"""Names from recipes, files and models that look like markup, or hold escape sequences, are shown as they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from sapwood import progress
from sapwood.cli.main import app
from sapwood.files import read_lines

pytestmark = pytest.mark.slow

KIND = "[red]x[/] [/kind] [link=https://example.org]:apple:\x1b[2J"
SHOWN = KIND.replace("\x1b", "\\x1b")
FOLDER = "[bold]m[/] of \x1b[2J"


def called(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "\x1b" not in result.output
    assert "\x07" not in result.output
    return result.output


def test_verbs_show_what_looks_like_markup(
    tiny_recipe: Callable[..., Path], tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.console, "_force_terminal", False)
    model = tmp_path / FOLDER
    shutil.copytree(tiny_backbone, model)
    sources = {
        "web-zh": {"files": "[green]zh.jsonl", "kind": KIND},
        "book-zh": {"files": "book-zh.jsonl"},
        "web-en": {"files": "web-en.jsonl"},
        "news-en": {"files": "news-en.jsonl"},
    }
    recipe = tiny_recipe(model=str(model), sources=sources, corpus={"duplicates": None})
    lines = (tmp_path / "web-zh.jsonl").read_bytes()
    begins = {"text": "[red]begins[/red] [/nothing] \x1b[31m" + "树木边材" * 20}
    (tmp_path / "[green]zh.jsonl").write_bytes(orjson.dumps(begins) + b"\n" + lines)
    runs = ("--runs", tmp_path / "runs")
    planned = called("plan", recipe, *runs)
    assert SHOWN in planned
    assert FOLDER.replace("\x1b", "\\x1b") in planned
    called("run", recipe, *runs)
    run = tmp_path / "runs" / "tiny"
    assert "web-zh" in called("account", run)
    steps = len(read_lines(run / "metrics.jsonl"))
    found = "".join(called("audit", run, "--step", step) for step in range(1, steps + 1))
    assert "[red]begins[/red] [/nothing]" in found
    called("watch", run, "--once")
    called("report", run)
    with pytest.raises(Exception, match="is no document id"):
        called("audit", run, "--document", "[red]")
