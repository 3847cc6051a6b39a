"""A step that drops most of a source stops the verb before anything is trained, and says what to write to go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recipes import edited
from sapwood.cli.main import app
from sapwood.corpus.store import store_of
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
ENGLISH = "The children were reading a book about birds that build their nests near the river, number {}."


def write(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the language": (
        {"sources.web-en.language": "fr"},
        ["the step 'language'", "language is en, expected fr (60)", "Is `language: fr` right?", "`max_dropped: 100%`"],
    ),
    "the rules of quality": (
        {"sources.web-en.quality": ["gopher-quality"]},
        ["the step 'quality'", "`max_dropped: 100%`"],
    ),
}


@pytest.mark.parametrize("verb", ["prepare", "run"])
@pytest.mark.parametrize(("changes", "wanted"), WRONG.values(), ids=WRONG)
def test_most_of_a_source_dropped_is_said_before_the_training(
    changes: dict[str, Any], wanted: list[str], verb: str, tiny_recipe: TinyRecipe, tmp_path: Path
) -> None:
    path = edited(tiny_recipe(), changes)
    write(tmp_path / "web-en.jsonl", [ENGLISH.format(number) for number in range(60)])
    edited(path, {"corpus.duplicates": None})
    runs = tmp_path / "runs"
    result = CliRunner().invoke(app, [verb, str(path), "--runs", str(runs)])
    told = str(result.exception)
    assert result.exit_code
    assert "sources.web-en: 60 of 60 documents were dropped" in told
    for words in wanted:
        assert words in told
    run = RunDirectory(runs / "tiny")
    assert read_manifest(store_of(run, "web-en").step("documents")) is not None, "what is prepared is kept"
    assert not run.checkpoints.exists()
    assert read_manifest(run.tokens("web-en")) is None


def test_duplicates_and_bad_rows_count_and_the_field_or_yes_goes_on(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe()
    write(tmp_path / "web-zh.jsonl", [f"只有{number % 8}本书在这里" * 9 for number in range(40)])
    rows = [json.dumps({"text": ENGLISH.format("one " * number)}) for number in range(20)]
    (tmp_path / "web-en.jsonl").write_text("\n".join([*rows, *['{"text": 1}'] * 30]))
    edited(path, {"corpus.duplicates": {"near": False}})
    arguments = ["prepare", str(path), "--runs", str(tmp_path / "runs")]
    told = str(CliRunner().invoke(app, arguments).exception)
    assert "sources.web-zh: 32 of 40 documents were dropped by the step 'duplicates'" in told
    assert "`max_dropped: 80%`" in told
    assert "sources.web-en: 30 of 50 rows could not be read: text is not a string (30)" in told
    edited(path, {"sources.web-zh.max_dropped": "80%"})
    assert "web-zh" not in str(CliRunner().invoke(app, arguments).exception)
    assert CliRunner().invoke(app, [*arguments, "--accept-losses"]).exit_code == 0
    edited(path, {"sources.web-en.max_dropped": "60%"})
    assert CliRunner().invoke(app, arguments).exit_code == 0
