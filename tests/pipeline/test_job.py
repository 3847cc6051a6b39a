"""What would stop a synthesis job, or labelling, is listed before any server is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.sandbox.execute import Sandbox

NOWHERE = "http://localhost:1/v1"
SERVER = {"url": NOWHERE, "model": "m", "key": "NO_SUCH_KEY"}


def refusal(*arguments: object) -> list[str]:
    """The fields that a command refuses, in order, and the whole message last."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SapwoodError), result.output
    told = str(result.exception)
    return [*(line.split(": ")[1] for line in told.splitlines() if ": " in line), told]


def write_job(directory: Path, **fields: Any) -> Path:
    path = directory / "qa.yaml"
    path.write_text(
        json.dumps({"name": "qa", "server": {"url": NOWHERE, "model": "m"}, "items": 2, **fields}, indent=1)
    )
    return path


PAGES = {
    "sources": {"pages": {"files": "pages.jsonl"}},
    "corpus": {"language": None},
    "disciplines": {"physics": {"sources": ["pages"]}},
}


def test_all_that_a_job_lacks_is_one_list(tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_text('{"text": "a"}\n')
    job = write_job(
        tmp_path,
        **PAGES
        | {
            "server": SERVER,
            "sources": {
                "pages": {"files": ["pages.jsonl", "more.jsonl"], "topics": "mine.yaml"},
                "others": {"files": "there.jsonl", "text": "body"},
            },
            "classifiers": {"mine.yaml": "nowhere"},
            "formats": {"problem-solutoin": 1},
            "verify": {
                "contamination": {"benchmarks": ["gone.jsonl"]},
                "entailment": {"server": {**SERVER, "model": "n"}},
                "near_duplicates": {"embedding": {**SERVER, "model": "e"}},
            },
        },
    )
    *fields, told = refusal("synthesize", job)
    assert fields == [
        "server.key",
        "sources.pages.files",
        "sources.pages.files",
        "sources.pages.topics",
        "sources.others.files",
        "classifiers",
        "formats.problem-solutoin",
        "verify.contamination.benchmarks",
        "verify.entailment.server.key",
        "verify.near_duplicates.embedding.key",
    ]
    assert "more.jsonl" in told
    assert "Did you mean 'problem-solution'?" in told
    assert not (tmp_path / "qa").exists()
    assert "NO_SUCH_KEY" not in refusal("synthesize", job, "--dry-run")[-1], "which asks nobody"


def test_a_directory_of_prompts_is_there(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text('{"text": "a"}\n')
    assert refusal("synthesize", write_job(tmp_path, **PAGES, prompts="mine"))[0] == "prompts"


def test_a_sandbox_is_there_before_programs_are_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Sandbox:
        raise SapwoodError("There is no sandbox.")

    monkeypatch.setattr(Sandbox, "find", none)
    *fields, _ = refusal("synthesize", write_job(tmp_path, problems={"files": ["gone.jsonl", "lost.jsonl"]}))
    assert sorted(fields) == ["problems.files", "problems.files", "verify.code"]


def test_all_that_labelling_lacks_is_one_list(tiny_recipe: Callable[..., Path]) -> None:
    path = tiny_recipe()
    recipe = json.loads(path.read_text())
    recipe["sources"]["web-zh"]["topics"], recipe["sources"]["web-en"]["topics"] = "syne-zh", "mine.yaml"
    recipe["corpus"] = {**recipe.get("corpus", {}), "topics": {"labeller": SERVER}}
    path.write_text(json.dumps(recipe, indent=1))
    *fields, _ = refusal("topics", "label", path, "--runs", path.parent / "runs")
    assert sorted(fields) == [
        "corpus.topics.labeller.key",
        "sources.web-en",
        "sources.web-en.topics",
        "sources.web-zh",
    ]
