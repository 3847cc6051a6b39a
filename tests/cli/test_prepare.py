"""What a user sees of preparing documents: `sapwood prepare` and `sapwood topics`."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.corpus.duplicates import shingle_hashes
from sapwood.corpus.store import store_of
from sapwood.corpus.topics import label as label_module
from sapwood.errors import SapwoodError
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest
from verbs import fails, sapwood

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


def edit(path: Path, **fields: Any) -> None:
    recipe = json.loads(path.read_text())
    for name, value in fields.items():
        place = recipe
        *parents, last = name.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    path.write_text(json.dumps(recipe))


def splits(run: RunDirectory, source: str) -> dict[str, str | None]:
    columns = {"documents": ["text"], "selection": ["split"]}
    rows = [row for batch in store_of(run, source).read_all(columns) for row in pa.table(batch).to_pylist()]
    return {row["text"]: row["selection.split"] for row in rows}


def test_no_near_copy_of_a_held_out_document_is_trained_on(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe(holdout={"share": 0.5})
    lines = (tmp_path / "web-en.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    copies = [f"{text} and more" for text in texts] + [f"once {text}" for text in texts]
    (tmp_path / "web-en.jsonl").write_text("\n".join([*lines, *(json.dumps({"text": text}) for text in copies)]))
    watched = [json.loads(line)["text"] for line in (tmp_path / "news-en.jsonl").read_text().splitlines()]
    book = [json.dumps({"text": f"{text} indeed"}) for text in watched]
    (tmp_path / "book-zh.jsonl").write_text("\n".join([*(tmp_path / "book-zh.jsonl").read_text().splitlines(), *book]))
    sapwood("prepare", path, "--runs", tmp_path / "runs", "--accept-losses")
    run = RunDirectory(tmp_path / "runs" / "tiny")
    found = {name: splits(run, name) for name in ("web-zh", "book-zh", "web-en", "news-en")}
    trained = [text for texts in found.values() for text, split in texts.items() if split == "train"]
    held_out = [text for texts in found.values() for text, split in texts.items() if split == "holdout"]
    assert len(trained) > 40
    assert len(held_out) > 40
    shingles = {text: set(shingle_hashes(text).tolist()) for text in [*trained, *held_out]}
    for one in trained:
        for two in held_out:
            both = len(shingles[one] & shingles[two])
            assert both / len(shingles[one] | shingles[two]) < 0.9
    assert not any(text.endswith("indeed") for text in trained)


def test_a_changed_setting_redoes_its_step_and_those_that_depend_on_it(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe()
    edit(path, sources__web_en={"files": "web-en.jsonl", "language": "en", "quality": ["gopher-repetition"]})
    recipe = json.loads(path.read_text())
    recipe["sources"]["web-en"] = recipe["sources"].pop("web_en")
    path.write_text(json.dumps(recipe))
    sapwood("prepare", path, "--runs", tmp_path / "runs")
    store = store_of(RunDirectory(tmp_path / "runs" / "tiny"), "web-en")
    steps = ("documents", "signals", "language", "quality", "signatures", "duplicates", "selection")

    def marks() -> dict[str, int]:
        return {step: (store.step(step) / "manifest.json").stat().st_mtime_ns for step in steps}

    before = marks()
    sapwood("prepare", path, "--runs", tmp_path / "runs")
    assert marks() == before
    sapwood("prepare", path, "corpus.duplicates.similarity=0.9", "--runs", tmp_path / "runs")
    after = marks()
    assert [step for step in steps if after[step] != before[step]] == ["duplicates", "selection"]
    sapwood("prepare", path, "corpus.language.confidence=0.9", "--runs", tmp_path / "runs")
    last = marks()
    assert [step for step in steps if last[step] == after[step]] == ["documents", "signals"]


def test_a_parquet_file_of_another_schema_costs_itself_alone(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tiny_recipe()
    words = ["tree", "ring", "wood", "root", "leaf", "bark"]
    for number in range(3):
        texts = [f"{words[number]} number {row} " + " ".join(words[row % 6 :] * (row + 1)) for row in range(9)]
        column = "body" if number == 1 else "text"
        pq.write_table(pa.table({column: texts}), tmp_path / f"part-{number}.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "part-3.parquet")
    edit(path, sources={**json.loads(path.read_text())["sources"], "web-en": {"files": "part-*.parquet"}})
    sapwood("prepare", path, "--runs", tmp_path / "runs")
    manifest = store_of(RunDirectory(tmp_path / "runs" / "tiny"), "web-en").manifest("documents")
    assert manifest.counts["documents"] == 18
    assert manifest.reasons == {"no text column": 1, "text is not a string": 1}


def test_a_disk_that_fills_up_anywhere_is_told_and_costs_time_only(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_recipe(corpus={"perplexity": {"sources": ["book-zh"], "tokens": 16, "trim": {"tail": "10%"}}})
    left = [0]

    def fsync(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("sapwood.files.os.fsync", fsync)
    times = 0
    while times < 40:
        left[0] = 23  # not a divisor of what a step writes, so that all steps are met
        try:
            sapwood("prepare", path, "--runs", tmp_path / "some")
            break
        except SapwoodError as error:
            assert "no space left on the device of" in str(error)  # noqa: PT017 - the last time none is raised
            times += 1
    assert 5 < times < 40
    left[0] = 10**6
    sapwood("prepare", path, "--runs", tmp_path / "whole")
    for name in ("web-zh", "book-zh", "web-en", "news-en"):
        one, two = (RunDirectory(tmp_path / runs / "tiny") for runs in ("some", "whole"))
        assert splits(one, name) == splits(two, name)
        found = [{p.name: p.read_bytes() for p in run.tokens(name).rglob("*.npy")} for run in (one, two)]
        assert found[0]
        assert found[0] == found[1]


TAXONOMY = {
    "name": "own",
    "language": "en",
    "rest": "other",
    "topics": [{"name": name, "description": f"{name}."} for name in ("growth", "other")],
}


def test_topics_from_label_to_apply(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_recipe()
    (tmp_path / "own.yaml").write_text(json.dumps(TAXONOMY))
    recipe = json.loads(path.read_text())
    recipe["sources"]["web-en"]["topics"] = "own.yaml"
    path.write_text(json.dumps(recipe))
    runs = tmp_path / "runs"
    sapwood("prepare", path, "--runs", runs)
    assert "names no model to label with" in fails("topics", "label", path, "--runs", runs, capsys=capsys)
    assert "There are no labels" in fails("topics", "train", path, "--runs", runs, capsys=capsys)
    assert "no classifier in" in fails("topics", "apply", path, "--runs", runs, capsys=capsys)

    def answer(server: Any, requests: list[Request], cache: Cache, advance: Any) -> list[Completion]:
        shown = [request.messages[0]["content"].split("<article>")[1] for request in requests]
        return [Completion("growth" if "ring" in text else "other", "stop", 5, 1) for text in shown]

    monkeypatch.setattr(label_module, "complete", answer)
    edit(path, corpus__topics__labeller={"url": "http://localhost:1/v1", "model": "m", "sample": 60})
    sapwood("topics", "label", path, "--runs", runs)
    run = RunDirectory(runs / "tiny")
    labels = (run.topics(str(tmp_path / "own.yaml")) / "labels.jsonl").read_text().splitlines()
    assert len(labels) == 60
    sapwood("topics", "train", path, "--runs", runs)
    sapwood("topics", "apply", path, "--runs", runs)
    found = [v for b in store_of(run, "web-en").read_all({"topics": ["topic"]}) for v in b["topics.topic"].to_pylist()]
    assert set(found) <= {"growth", "other"}
    manifest = read_manifest(store_of(run, "web-en").step("topics"))
    sapwood("prepare", path, "--runs", runs)
    assert read_manifest(store_of(run, "web-en").step("topics")) == manifest
    assert load_recipe(path).sources["web-en"].topics == str(tmp_path / "own.yaml")


def test_prepare_stops_before_scoring_if_asked(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe()
    edit(path, corpus__perplexity={"sources": ["book-zh"], "tokens": 16})
    runs = tmp_path / "runs"
    said = CliRunner().invoke(app, ["prepare", str(path), "--unscored", "--runs", str(runs)]).stderr
    assert f"Next: `sapwood score {path} --runs {runs}`" in said
    assert said.rstrip().endswith(f"then `sapwood prepare {path} --runs {runs}`.")
    store = store_of(RunDirectory(runs / "tiny"), "book-zh")
    assert store.has("duplicates")
    assert not store.has("perplexity")
    assert not store.has("selection")
    sapwood("score", path, "--runs", runs)
    sapwood("prepare", path, "--runs", runs)
    assert store.manifest("perplexity").counts["documents"] == 30


def test_what_a_killed_process_was_writing_is_removed(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path, run = tiny_recipe(), tmp_path / "runs" / "tiny"
    sapwood("prepare", path, "--runs", tmp_path / "runs")
    (run / ".data.html.0123abcd.tmp").write_text("half a pa")
    sapwood("prepare", path, "--runs", tmp_path / "runs")
    assert not list(run.glob(".*.tmp"))
    assert (run / "data.html").exists()
