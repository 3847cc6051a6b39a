from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from ruamel.yaml import YAML

from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import read_evaluation
from sapwood.files import read_json, write_json
from sapwood.recipe import Recipe
from sapwood.report.card import write_card
from sapwood.report.wording import interval, number, signed
from sapwood.runs.manifest import Manifest
from sapwood.suites.item_result import ItemResult, TaskResult, read_task_result

pytestmark = pytest.mark.slow

MakeRun = Callable[..., Path]

SUITE = """
name: own
tasks:
  icl-words: {limit: 60}
  mawps: {shots: 0, metric: bits}
gain: [mawps]
retention: [icl-words]
margin: 0.05
"""


def card(recipe: Recipe, run: Path) -> tuple[dict[str, Any], str]:
    """Front matter and body."""
    write_card(recipe, run)
    opening, front, body = (run / "model" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert not opening
    return dict(YAML(typ="safe").load(front)), body


def changed(recipe: Recipe, source: str, **fields: object) -> Recipe:
    """The recipe with another source."""
    return recipe.model_copy(
        update={"sources": {**recipe.sources, source: recipe.sources[source].model_copy(update=fields)}}
    )


def with_benchmarks(recipe: Recipe, run: Path) -> Recipe:
    """Writes what both models made of two tasks: 60 choices, of which 6 were lost and 2 won, and 40 texts."""
    suite = run.parent / "own.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    for label in ("base", "model"):
        adapted = label == "model"
        flipped = (0, 2, 4, 6, 8, 10, 1, 3) if adapted else ()
        right = [(place % 2 == 0) != (place in flipped) for place in range(60)]
        choices = tuple(
            ItemResult(id=f"{place}", prompt="p", gold="A", scores={"cloze-bytes": float(value)}, options=tuple("ABCD"))
            for place, value in enumerate(right)
        )
        texts = tuple(
            ItemResult(id=f"{place}", prompt="p", gold="1", bits=30.0 + place % 5 - 4 * adapted, bytes=20)
            for place in range(40)
        )
        for result in (TaskResult("icl-words", "cloze-bytes", 0.25, choices), TaskResult("mawps", "bits", 0.0, texts)):
            result.write(run / "evaluation" / "suites" / "own" / label / result.task)
    evaluation = recipe.evaluation.model_copy(update={"suites": [str(suite)]})
    return recipe.model_copy(update={"evaluation": evaluation})


def test_the_card_says_what_the_run_says(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    front, body = card(recipe, run)
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M"
    assert front["base_model_relation"] == "finetune"
    assert front["language"] == ["en", "zh"]
    assert front["library_name"] == "transformers"
    before, after = (read_evaluation(run / "evaluation" / f"{label}.json") for label in ("base", "model"))
    for change in judge(recipe, before, after):
        numbers = (number(change.before), number(change.after), signed(change.value))
        assert f"| {' | '.join(numbers)} | {interval(change.interval)} |" in body
    assert "trained further on 983,040 tokens" in body
    assert "| manual-zh | manual | zh | not stated | 389,120 | 39.6% | 0.94 |" in body
    assert "book-en" in body  # measured, and therefore in the verdict
    assert "| book-en | book |" not in body  # and never trained on
    assert "0.1.0, torch 2.13.0+cpu and transformers 5.23.0" in body
    assert "warm-up over 12 steps, 0.0005, stable-decay" in body


def test_a_model_that_was_not_measured_is_not_praised(recipe: Recipe, make_run: MakeRun) -> None:
    front, body = card(recipe, make_run(recipe, "ledger", "metrics"))
    assert "has not been measured yet" in body
    assert "gained;" not in body
    assert "model-index" not in front


def test_benchmarks_stand_with_their_uncertainty(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    _, body = card(with_benchmarks(recipe, run), run)
    rows = {line.split(" | ")[0][2:]: line for line in body.splitlines() if line.startswith(("| icl", "| mawps"))}
    assert "| to keep | 60 | 50.0 | 43.3 | −6.7 | " in rows["icl-words"]
    assert "? loss not excluded" in rows["icl-words"]
    assert "| bits per byte | to gain | 40 | 1.600 | 1.400 | +0.200 |" in rows["mawps"]
    assert "✓ gained" in rows["mawps"]
    assert (
        "icl-words: items lost (right before, wrong now) 6, won 2; where both guess, independently, about 9 of each"
        in body
    )
    assert "above a loss of 5.0 points." in body
    assert "**On the benchmarks of own, mawps was gained; a loss of icl-words is not excluded.**" in body
    assert "Whether items of the benchmarks stand in the training texts was not looked for." in body
    assert "at chance" not in rows["icl-words"]


def test_the_hub_reads_the_card_back(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    recipe = with_benchmarks(recipe, run)
    write_card(recipe, run)
    data = ModelCard.load(run / "model" / "README.md").data
    values = {(result.dataset_type, result.dataset_config): result.metric_value for result in data.eval_results}
    changes = judge(recipe, *(read_evaluation(run / "evaluation" / f"{label}.json") for label in ("base", "model")))
    expected = {("held-out", change.name): pytest.approx(change.after, abs=1e-4) for change in changes}
    assert values == {**expected, ("icl-words", "own"): 0.4333, ("mawps", "own"): 1.4}
    assert not any(result.verified for result in data.eval_results)
    index = eval_results_to_model_index(data.model_name, data.eval_results)
    assert model_index_to_eval_results(index) == ("demo", data.eval_results)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("org/name@main", "org/name"),
        ("package:module/file.gguf", None),
        ("models/file.gguf", None),
        ("/models/mine", None),
    ],
)
def test_only_hub_names_are_named_as_base_model(
    recipe: Recipe, make_run: MakeRun, model: str, expected: str | None
) -> None:
    front, body = card(recipe.model_copy(update={"model": model}), make_run(recipe, "ledger", "metrics"))
    assert front.get("base_model") == expected
    assert ("base_model_relation" in front) == (expected is not None)
    assert "/models" not in body  # where it lies is nobody's business


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "---\nlicense: mit\n---\nwords\n", "LICENSE": "MIT"}, ("mit", None)),
        ({"README.md": "---\nlicense: other\nlicense_link: LICENSE\n---\n"}, ("other", "LICENSE")),
        ({"README.md": "no front matter", "LICENSE.txt": "of our own"}, ("other", "LICENSE.txt")),
        ({"README.md": "---\n[broken\n---\n"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_the_licence_is_the_backbones_or_none(
    recipe: Recipe,
    make_run: MakeRun,
    tmp_path: Path,
    files: dict[str, str],
    expected: tuple[str | None, str | None],
) -> None:
    backbone = tmp_path / "backbone"
    write_json(backbone / "config.json", {})
    for name, text in files.items():
        (backbone / name).write_text(text, encoding="utf-8")
    front, body = card(recipe.model_copy(update={"model": str(backbone)}), make_run(recipe, "ledger", "metrics"))
    assert (front.get("license"), front.get("license_link")) == expected
    assert ("this card names none" in body) == (expected[0] is None)


def test_data_sets_and_licences_of_texts(recipe: Recipe, make_run: MakeRun) -> None:
    files = ["hf://datasets/org/texts@main/zh/*.parquet", "hf://datasets/org/texts/more.jsonl"]
    front, body = card(changed(recipe, "manual-zh", files=files, licence="CC-BY-SA-4.0"), make_run(recipe))
    assert front["datasets"] == ["org/texts"]
    assert "| manual-zh | manual | zh | CC-BY-SA-4.0 |" in body


def test_what_guessing_reaches_and_what_was_scored_is_said(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe)
    recipe = with_benchmarks(recipe, run)
    for label in ("base", "model"):
        directory = run / "evaluation" / "suites" / "own" / label / "icl-words"
        result = read_task_result(directory)
        guessed = [
            replace(item, scores={"cloze-bytes": float(place % 4 == 0)}) for place, item in enumerate(result.items)
        ]
        replace(result, items=tuple(guessed)).write(directory)
        path = run / "evaluation" / f"{label}.json"
        evaluation = read_json(path)
        evaluation["settings"]["document_bytes"] = 512
        write_json(path, evaluation)
    _, body = card(recipe, run)
    assert "✓ kept, at chance |" in body
    assert "- At chance before and after: icl-words." in body
    assert "Of each document the first 512 bytes were scored." in body


def test_items_are_named_with_their_author(recipe: Recipe, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(recipe)
    Manifest(step="items", inputs={}, settings={}, counts={"items": 4000, "corrupted": 0}).write(
        run / "synthesis" / "arithmetic"
    )
    _, body = card(recipe, run)
    made = "4,000 items, questions with exact answers made by programs of reasoning-gym: basic\\_arithmetic (4,000)"
    assert f"- arithmetic: {made}; 4.0% of the tokens." in body
    job = tmp_path / "qa.yaml"
    server = {"url": "http://a/v1", "model": "writer", "revision": "r2"}
    write_json(
        job,  # JSON is YAML
        {
            "name": "qa",
            "server": server,
            "items": 9,
            "sources": {"web": {"files": "w"}},
            "disciplines": {"physics": {}},
        },
    )
    _, body = card(changed(recipe, "arithmetic", programs={}, synthesis=str(job)), run)
    assert "written by writer@r2 and verified" in body
    assert "http://a" not in body


def test_text_cannot_leave_its_cell(recipe: Recipe, make_run: MakeRun) -> None:
    run = make_run(recipe, "ledger", "metrics")
    _, body = card(changed(recipe, "manual-zh", kind="a | b\n# <script>", licence="c | ```"), run)
    assert r"a \| b \# \<script\>" in body
    assert r"| c \| \`\`\` |" in body


def test_the_recipe_is_told_without_places(recipe: Recipe, make_run: MakeRun) -> None:
    taxonomy = "/home/someone/fields.yaml"
    _, body = card(changed(recipe, "manual-zh", topics=taxonomy, kind="````\n</details>"), make_run(recipe))
    block = re.search(r"^(`{5,})yaml\n(.*?)^\1$", body, re.MULTILINE | re.DOTALL)
    assert block is not None
    told = YAML(typ="safe").load(block[2])
    assert told["sources"]["manual-zh"]["topics"] == "fields.yaml"
    assert told["training"]["batch_tokens"] == "8.192K"
    assert "guard" not in told["training"]  # as by default
    assert "/home" not in body


def test_the_code_for_vllm_is_a_program(recipe: Recipe, make_run: MakeRun) -> None:
    _, body = card(recipe, make_run(recipe, "ledger", "metrics"))
    plain, served = re.findall(r"^```python\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    assert "chat" not in plain + served  # there is no tokenizer, and so no template
    calls = {ast.unparse(node.func): node for node in ast.walk(ast.parse(served)) if isinstance(node, ast.Call)}
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed: its part of the quick start is only parsed")
    for name in ("LLM", "SamplingParams"):
        known = inspect.signature(getattr(vllm, name)).parameters
        assert {keyword.arg for keyword in calls[name].keywords} <= known.keys()
