from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.cli.prepare import prepare_run
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.mixture.decided import DecidedRun
from sapwood.recipe import load_recipe


def test_a_begun_run_takes_files_of_other_names_only_if_they_are_the_same(
    tmp_path: Path, tiny_recipe: Callable[..., Path]
) -> None:
    path = tiny_recipe(corpus={"decontamination": {"benchmarks": "items.jsonl"}})
    (tmp_path / "items.jsonl").write_text('{"question": "what does a tree add every year to the living wood"}\n')
    recipe, run = load_recipe(path), RunDirectory(tmp_path / "run")
    prepare_run(recipe, run)
    moved = load_recipe(path, [f"sources.web-zh.files={tmp_path}/elsewhere/web-zh.jsonl"])
    run.adopt(recipe)
    DecidedRun.open(run.root)
    before = run.recipe.read_bytes()

    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "book-zh.jsonl", tmp_path / "elsewhere" / "web-zh.jsonl")
    for attempt in (lambda: run.adopt(moved), lambda: prepare_run(moved, run)):
        with pytest.raises(SapwoodError, match=r"begun with other texts:\n  sources\.web-zh\.files: .* -> .*elsewhere"):
            attempt()
    (tmp_path / "elsewhere" / "web-zh.jsonl").unlink()
    with pytest.raises(SapwoodError, match="cannot open"):
        run.adopt(moved)
    others = load_recipe(path, [f"corpus.decontamination.benchmarks={tmp_path}/elsewhere/items.jsonl"])
    (tmp_path / "elsewhere" / "items.jsonl").write_text('{"question": "another"}\n')
    with pytest.raises(SapwoodError, match=r"begun with other items in corpus\.decontamination\.benchmarks"):
        run.adopt(others)
    made = load_recipe(path, ["sources.web-zh={synthesis: job.yaml}"])
    with pytest.raises(SapwoodError, match=r"sources\.web-zh"):
        run.adopt(made)
    assert run.recipe.read_bytes() == before, "what was refused is not written down"

    shutil.copy(tmp_path / "web-zh.jsonl", tmp_path / "elsewhere")
    shutil.copy(tmp_path / "items.jsonl", tmp_path / "elsewhere")
    run.adopt(moved)
    assert b"elsewhere/web-zh.jsonl" in run.recipe.read_bytes()
