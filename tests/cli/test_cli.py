"""The verbs, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood import __version__
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import read_evaluation
from sapwood.recipe import load_recipe
from verbs import fails, sapwood

pytestmark = pytest.mark.slow

PAPER = Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml"
TinyRecipe = Callable[..., Path]


def test_the_papers_recipe_is_planned_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    lines = sapwood("plan", PAPER).splitlines()
    volumes = {line.split()[0]: line.split()[-2] for line in lines if line.endswith("%")}
    assert volumes["web"] == "45.175B"
    assert volumes["book"] == "15.7375B"
    assert volumes["code"] == "11.8875B"
    assert volumes["synthetic"] == "1.5B"


def test_init_writes_a_recipe_that_can_be_planned(tmp_path: Path) -> None:
    sapwood("init", tmp_path / "r.yaml")
    assert "my-run" in sapwood("plan", tmp_path / "r.yaml")


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text("mine")
    assert (
        fails("init", tmp_path / "r.yaml", capsys=capsys)
        == f"{tmp_path / 'r.yaml'} is there already; name another file."
    )
    assert (tmp_path / "r.yaml").read_text() == "mine"


def test_what_the_system_says_of_files_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    said = fails("init", tmp_path / "file" / "r.yaml", capsys=capsys)
    assert said.endswith("A file stands where a directory is needed. Move it away.")
    assert str(tmp_path / "file") in said
    assert "is no UTF-8" in fails("init", tmp_path / "caf\udce9.yaml", capsys=capsys)
    assert not list(tmp_path.glob("caf*"))


def test_schema_is_a_json_schema() -> None:
    schema = json.loads(sapwood("schema"))
    assert "stages" in schema["required"]
    assert schema["$defs"]["Source"]["properties"]["files"]["description"]


def test_version() -> None:
    assert sapwood("--version").strip() == f"sapwood {__version__}"


def test_mistakes_are_messages_not_tracebacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails("plan", tmp_path / "absent.yaml", capsys=capsys)
    assert "There is no recipe" in message
    assert "Traceback" not in message


def test_what_is_not_there_yet_is_refused_before_anything_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails("run", PAPER, "--runs", tmp_path / "runs", capsys=capsys)
    assert "sources.web-zh: names no files, only the size to plan with" in message
    assert not (tmp_path / "runs").exists()


def test_a_group_that_runs_out_is_refused_with_its_line(
    tiny_recipe: TinyRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_recipe(name="capped")
    recipe = json.loads(path.read_text())
    for source in ("web-zh", "book-zh"):
        recipe["sources"][source]["max_epochs"] = 0.5
    path.write_text(json.dumps(recipe, indent=1))
    message = fails("run", path, "--runs", tmp_path / "runs", capsys=capsys)
    assert "stages.0.tokens: after" in message
    assert "nothing is left in 'zh' within `max_epochs`" in message
    assert not (tmp_path / "runs" / "capped" / "ledger.jsonl").exists()


def test_a_score_that_no_step_gives_is_refused_before_training(
    tiny_recipe: TinyRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = {"name": "one", "tokens": 5000, "mixture": {"zh": 1}, "order": {"web-zh": {"by": "compression_ration"}}}
    path = tiny_recipe(name="ordered", stages=[stage])
    message = fails("prepare", path, "--runs", tmp_path / "runs", capsys=capsys)
    assert "no step gives the documents of 'web-zh' a score 'compression_ration'" in message
    assert "Did you mean 'compression_ratio'?" in message


def test_verb_by_verb_and_again(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path, runs = tiny_recipe(), tmp_path / "runs"
    run = runs / "tiny"
    for verb in ("plan", "prepare", "evaluate", "train", "evaluate", "report"):
        sapwood(verb, path, "--runs", runs)
    recipe = load_recipe(run / "recipe.yaml")
    base, adapted = (read_evaluation(run / "evaluation" / f"{label}.json") for label in ("base", "model"))
    verdicts = {finding.name: finding.verdict for finding in judge(recipe, base, adapted)}
    assert verdicts["zh"] == "gained"
    assert len(base.samples) == 3
    between = list((run / "evaluation").glob("step-*.json"))
    assert len(between) == 1, "measured between the two rounds"
    rounds = [line for line in map(json.loads, (run / "ledger.jsonl").read_text().splitlines()) if "losses" in line]
    assert rounds[1]["losses"]["web-zh"]["bits_per_byte"] < 3
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Gained" in page or "gained" in page
    assert "Texts begin with nothing and end with" in (run / "model" / "README.md").read_text()

    stamps = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    times = [(run / name).read_bytes() for name in ("ledger.jsonl", "metrics.jsonl", "evaluation/model.json")]
    sapwood("run", path, "--runs", runs)
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")} == stamps
    assert [(run / name).read_bytes() for name in ("ledger.jsonl", "metrics.jsonl", "evaluation/model.json")] == times
    sapwood("report", run)
    sapwood("evaluate", path, "--runs", runs, "--checkpoint", "step-00000014")
    last = read_evaluation(run / "evaluation" / "step-00000014.json")
    assert last.tokens == adapted.tokens
    assert last.domains == adapted.domains, "the exported model is the last checkpoint"


def test_a_report_needs_a_run(tiny_recipe: TinyRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no run" in fails("report", tiny_recipe(), "--runs", tmp_path / "none", capsys=capsys)
