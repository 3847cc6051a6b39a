from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from sapwood.backbone.resolve import fingerprint_model
from sapwood.corpus.contamination import benchmark_fingerprint
from sapwood.corpus.store import CONTAMINATION, PERPLEXITY, TOPICS, store_of
from sapwood.corpus.topics.label import load_taxonomy, read_labels
from sapwood.corpus.topics.train import training_fingerprint
from sapwood.errors import SapwoodError
from sapwood.mixture.adopt import adopt, refuse_other_inputs
from sapwood.mixture.decided import DecidedRun
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.weights import Mixture
from sapwood.pipeline.prepare import prepare_run
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest


@pytest.mark.slow
def test_a_begun_run_takes_files_of_other_names_only_if_they_are_the_same(
    tmp_path: Path, tiny_recipe: Callable[..., Path]
) -> None:
    path = tiny_recipe(corpus={"decontamination": {"benchmarks": "items.jsonl"}})
    (tmp_path / "items.jsonl").write_text('{"question": "what does a tree add every year to the living wood"}\n')
    recipe, run = load_recipe(path), RunDirectory(tmp_path / "run")
    prepare_run(recipe, run)
    moved = load_recipe(path, [f"sources.web-zh.files={tmp_path}/elsewhere/web-zh.jsonl"])
    adopt(run, recipe)
    DecidedRun.open(run.root)
    before = run.recipe.read_bytes()

    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "book-zh.jsonl", tmp_path / "elsewhere" / "web-zh.jsonl")
    for attempt in (lambda: adopt(run, moved), lambda: prepare_run(moved, run)):
        with pytest.raises(SapwoodError, match=r"begun with other texts:\n  sources\.web-zh\.files: .* -> .*elsewhere"):
            attempt()
    (tmp_path / "elsewhere" / "web-zh.jsonl").unlink()
    with pytest.raises(SapwoodError, match="cannot open"):
        adopt(run, moved)
    others = load_recipe(path, [f"corpus.decontamination.benchmarks={tmp_path}/elsewhere/items.jsonl"])
    (tmp_path / "elsewhere" / "items.jsonl").write_text('{"question": "another"}\n')
    with pytest.raises(
        SapwoodError, match=r"begun with other inputs:\n  corpus\.decontamination\.benchmarks: .* -> .*elsewhere"
    ):
        adopt(run, others)
    made = load_recipe(path, ["sources.web-zh={synthesis: job.yaml}"])
    with pytest.raises(SapwoodError, match=r"sources\.web-zh"):
        adopt(run, made)
    assert run.recipe.read_bytes() == before, "what was refused is not written down"

    shutil.copy(tmp_path / "web-zh.jsonl", tmp_path / "elsewhere")
    shutil.copy(tmp_path / "items.jsonl", tmp_path / "elsewhere")
    adopt(run, moved)
    assert b"elsewhere/web-zh.jsonl" in run.recipe.read_bytes()


ROUND = Round(
    index=0,
    stage="adaptation",
    start=0,
    start_tokens=0,
    sequences=1,
    sequence_length=64,
    mixture=Mixture({"web-zh": Fraction(1)}, {"web-zh": "zh"}),
    first={},
    reasons=(),
)


def begin(run: RunDirectory, path: Path) -> None:
    """Makes a run that has begun with a recipe, of the ledger alone."""
    recipe = load_recipe(path)
    adopt(run, recipe)
    ledger = Ledger(run.ledger)
    ledger.adopt(recipe)
    ledger.append(ROUND)


@pytest.mark.slow
def test_every_input_of_a_begun_run_may_move_and_may_not_change(
    tmp_path: Path, tiny_recipe: Callable[..., Path], tiny_backbone: Path
) -> None:
    """Benchmark items, labels, the model that scores: each moved, and each another."""
    for name, line in (
        ("items", {"question": "what is it"}),
        ("labels", {"text": "a tree", "topic": "Law and Policy"}),
    ):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "judge").symlink_to(tiny_backbone)
    corpus = {
        "decontamination": {"benchmarks": "items.jsonl"},
        "topics": {"labels": {"syne-en": "labels.jsonl"}},
        "perplexity": {"model": "./judge", "sources": ["web-en"]},
    }
    path = tiny_recipe(corpus=corpus)
    written = json.loads(path.read_text())
    written["sources"]["web-en"]["topics"] = "syne-en"
    path.write_text(json.dumps(written))
    run, taxonomy = RunDirectory(tmp_path / "run"), load_taxonomy("syne-en")
    begin(run, path)
    made = {
        CONTAMINATION: {"benchmarks": benchmark_fingerprint([str(tmp_path / "items.jsonl")])},
        TOPICS: {"classifier": training_fingerprint(read_labels(tmp_path / "labels.jsonl", taxonomy), taxonomy, None)},
        PERPLEXITY: {"model": fingerprint_model(tiny_backbone)},
    }
    for step, settings in made.items():
        directory = store_of(run, "web-en").step(step)
        directory.mkdir(parents=True)
        Manifest(step=step, inputs={}, settings=settings).write(directory)
    refuse_other_inputs(run, load_recipe(path))

    shutil.copytree(tiny_backbone, tmp_path / "other-judge")
    with (tmp_path / "other-judge" / "config.json").open("a") as file:
        file.write(" ")
    shutil.copytree(tiny_backbone, tmp_path / "same-judge")
    for field, name in (
        ("corpus.decontamination.benchmarks", "items.jsonl"),
        ("corpus.topics.labels.syne-en", "labels.jsonl"),
        ("corpus.perplexity.model", "judge"),
    ):
        for kind in ("same", "other"):
            moved = tmp_path / f"{kind}-judge"
            if name != "judge":
                moved = tmp_path / kind / name
                moved.parent.mkdir(exist_ok=True)
                line = (tmp_path / name).read_text()
                moved.write_text(line.replace("it", "that").replace("tree", "wood") if kind == "other" else line)
            recipe = load_recipe(path, [f"{field}={moved}"])
            if kind == "same":
                adopt(run, recipe)
                refuse_other_inputs(run, recipe)
                continue
            with pytest.raises(SapwoodError, match=rf"other inputs:\n  {field}: .*{name} -> .*other"):
                adopt(run, recipe)
            with pytest.raises(SapwoodError, match=r"other inputs:\n  corpus\..* ha(s|ve) changed"):
                refuse_other_inputs(run, recipe)


def test_a_begun_run_knows_its_recipe_when_the_file_is_gone(tmp_path: Path, tiny_recipe: Callable[..., Path]) -> None:
    path, run = tiny_recipe(), RunDirectory(tmp_path / "run")
    begin(run, path)
    before = run.recipe.read_bytes()
    run.recipe.unlink()
    with pytest.raises(SapwoodError, match=r"begun with another recipe:\n  seed: 0 -> 1\nPut these back"):
        adopt(run, load_recipe(path, ["seed=1"]))
    adopt(run, load_recipe(path))
    assert run.recipe.read_bytes() == before

    run.ledger.unlink()  # of a run that an earlier version began, which wrote no recipe down there
    Ledger(run.ledger).append(ROUND)
    run.recipe.unlink()
    with pytest.raises(SapwoodError, match=r"recipe\.yaml is missing, and the run has begun: .* Restore it"):
        adopt(run, load_recipe(path))


def test_what_is_measured_may_change_only_where_no_stage_looks_at_it(
    tmp_path: Path, tiny_recipe: Callable[..., Path]
) -> None:
    path = tiny_recipe()
    begin(RunDirectory(tmp_path / "static"), path)
    adopt(RunDirectory(tmp_path / "static"), load_recipe(path, ["evaluation.bytes=1KiB"]))
    written = json.loads(path.read_text())
    written["stages"][0]["controller"] = {"kind": "perplexity-change", "over": "groups", "every": 1024}
    path.write_text(json.dumps(written))
    begin(RunDirectory(tmp_path / "moved"), path)
    for field, value in (("bytes", "1048576 -> 1024"), ("document_bytes", "None -> 1024")):
        with pytest.raises(SapwoodError, match=rf"evaluation\.{field}: {value}"):
            adopt(RunDirectory(tmp_path / "moved"), load_recipe(path, [f"evaluation.{field}=1KiB"]))
