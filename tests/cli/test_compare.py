"""`sapwood compare`: from results on disk, from models, and its exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.backbone.encode import Encoder
from sapwood.cli.compare import FAILED
from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.evaluation.run_comparison import compare_run
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.suites.item_result import ItemResult, TaskResult

pytestmark = pytest.mark.slow

TASK = """
name: exam
kind: choice
language: en
files: exam.jsonl
options: options
answer: answer
cloze: "Q: {{ question }}\\nA:"
"""
SUITE = """
name: mine
tasks: {exam.yaml: }
retention: [exam]
margin: 0.2
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "exam.yaml").write_text(TASK)
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def results(directory: Path, right: int, items: int = 200) -> str:
    """Results of a model that has so many items right."""
    found = [
        ItemResult(
            id=str(number),
            prompt="p",
            gold="A",
            scores={"cloze-bytes": float(number < right)},
            options=("x", "y"),
        )
        for number in range(items)
    ]
    TaskResult("exam", "cloze-bytes", 0.5, tuple(found)).write(directory / "exam")
    return str(directory)


def write_exam(directory: Path) -> None:
    rows = [{"question": f"{n} + 1 =", "options": [str(n + 1), "tree"], "answer": 0} for n in range(8)]
    (directory / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["compare", *arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout


def test_a_model_that_kept_its_abilities_passes(tmp_path: Path, suite: Path) -> None:
    base, model = results(tmp_path / "base", 180), results(tmp_path / "adapted", 178)
    code, text = run(base, model, "--suite", str(suite))
    assert code == 0
    assert "base → adapted, mine" in text
    assert "kept" in text
    assert "−1.0" in text


def test_a_loss_exits_with_another_status(tmp_path: Path, suite: Path) -> None:
    base, good, bad = (results(tmp_path / name, right) for name, right in (("a", 180), ("b", 180), ("c", 90)))
    code, text = run(base, good, bad, "--suite", str(suite))
    assert code == FAILED
    assert "lost" in text


def test_lines_hold_all_numbers(tmp_path: Path, suite: Path) -> None:
    base, model = results(tmp_path / "base", 180), results(tmp_path / "adapted", 178)
    code, text = run(base, model, "--suite", str(suite), "--jsonl")
    assert code == 0
    change = json.loads(text)["tasks"]["exam"]["change"]
    assert change["estimate"]["value"] == pytest.approx(-0.01)
    assert change["low"] < change["estimate"]["value"] < change["high"]
    assert change["verdict"] == "kept"


def test_one_model_alone_is_measured(tmp_path: Path, suite: Path) -> None:
    code, text = run(results(tmp_path / "base", 104), "--suite", str(suite))
    assert code == 0
    assert "52.0" in text
    assert "at chance" in text


def test_models_of_the_same_name_are_told_apart(tmp_path: Path, suite: Path) -> None:
    models = [results(tmp_path / name / "model", right) for name, right in (("a", 180), ("b", 181))]
    assert "a-model → b-model" in run(*models, "--suite", str(suite))[1]


def test_seeds_need_no_name_each(tmp_path: Path, suite: Path) -> None:
    models = [results(tmp_path / name, right) for name, right in (("a", 180), ("b", 181), ("c", 179))]
    assert "a → b, c" in run(*models, "--suite", str(suite), "--seeds")[1]


def test_unknown_tasks_are_refused(tmp_path: Path, suite: Path) -> None:
    base = results(tmp_path / "base", 180)
    with pytest.raises(SapwoodError, match=r"There is no task 'exams' in the suite 'mine'\. Did you mean 'exam'\?"):
        run(base, "--suite", str(suite), "--task", "exams")


def test_sample_logs_of_the_harness_are_compared(tmp_path: Path, suite: Path) -> None:
    (tmp_path / "exam.yaml").write_text(f"{TASK}lm_eval: wood\n")
    for model, right in (("base", 180), ("adapted", 178)):
        samples = [
            {
                "doc_id": number,
                "target": "0",
                "arguments": {f"gen_args_{at}": {"arg_0": "Q:", "arg_1": " x"} for at in range(2)},
                "resps": [[["-1.0", "False"]], [["-2.0" if number < right else "-0.5", "False"]]],
                "filter": "none",
                "metrics": ["acc"],
                "prompt_hash": "p",
                "acc": float(number < right),
            }
            for number in range(200)
        ]
        path = tmp_path / "logs" / model / "samples_wood_2026-01-02T03-04-05.678901.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    code, text = run(str(tmp_path / "logs/base"), str(tmp_path / "logs/adapted"), "--suite", str(suite))
    assert code == 0
    assert "base → adapted, mine" in text
    assert "−1.0" in text


def test_a_model_answers_and_is_not_asked_twice(tmp_path: Path, suite: Path, tiny_backbone: Path) -> None:
    rows = [{"question": f"{n} + 1 =", "options": [str(n + 1), "tree"], "answer": 0} for n in range(8)]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = (
        str(tiny_backbone),
        "--suite",
        str(suite),
        "--items",
        str(tmp_path),
        "--output",
        str(tmp_path / "kept"),
    )
    assert run(*arguments)[0] == 0
    (items,) = (tmp_path / "kept" / "mine").glob("*/exam/items.jsonl")
    written = items.stat().st_mtime_ns
    assert run(*arguments)[0] == 0
    assert items.stat().st_mtime_ns == written


def test_a_model_that_sees_what_it_predicts_is_not_asked(tmp_path: Path, suite: Path, tiny_backbone: Path) -> None:
    write_exam(tmp_path)
    model = shutil.copytree(tiny_backbone, tmp_path / "bert")
    small = {"vocab_size": 400, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    (model / "config.json").write_text(json.dumps({"model_type": "bert", **small}))
    with pytest.raises(SapwoodError, match=rf"The model in {model} sees the tokens that it predicts"):
        run(str(model), "--suite", str(suite), "--items", str(tmp_path), "--output", str(tmp_path / "kept"))


def test_a_run_puts_its_suites_to_both_models(tmp_path: Path, suite: Path, tiny_recipe: Callable[..., Path]) -> None:
    write_exam(tmp_path)
    judged = {"gain": {"domains": ["zh"]}, "retention": {"domains": ["en", "news-en"]}}
    recipe = tiny_recipe(evaluation={**judged, "suites": ["suite.yaml"], "items": ".", "samples": {"tokens": 0}})
    arguments = ["run", str(recipe), "stages.0.tokens=1K", "stages.1.tokens=1K", "--runs", str(tmp_path / "runs")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    directory = RunDirectory(tmp_path / "runs" / "tiny")
    (found,) = compare_run(load_recipe(directory.recipe), directory)
    assert (found.suite, found.model, list(found.tasks)) == ("mine", "model", ["exam"])
    assert "model, mine" in shown.output


def test_prompts_begin_as_the_recipes_of_runs_say(
    tmp_path: Path, suite: Path, tiny_backbone: Path, tiny_recipe: Callable[..., Path]
) -> None:
    write_exam(tmp_path)
    for name, begin in (("plain", "auto"), ("begun", "<|im_start|>")):
        directory = RunDirectory(tmp_path / "runs" / name)
        directory.root.mkdir(parents=True)
        recipe = tiny_recipe(name=name, model=str(tiny_backbone), tokenizer={"begin": begin})
        directory.recipe.write_text(recipe.read_text())
        shutil.copytree(tiny_backbone, directory.model)
    arguments = ("--suite", str(suite), "--items", str(tmp_path), "--output", str(tmp_path / "kept"))
    with pytest.raises(SapwoodError, match=r"otherwise in .*begun \(tokenizer: \{begin: <\|im_start\|>.*Compare each"):
        run(str(tmp_path / "runs/plain"), str(tmp_path / "runs/begun"), *arguments)
    found = []
    for name in ("plain", "begun"):
        assert run(str(tmp_path / "runs" / name), *arguments)[0] == 0
        (manifest,) = (tmp_path / "kept" / "mine" / name).glob("exam/manifest.json")
        found.append(json.loads(manifest.read_text())["settings"]["tokenizer"])
    assert found == [Encoder.load(tiny_backbone, begin).fingerprint for begin in ("auto", "<|im_start|>")]
