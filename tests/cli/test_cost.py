"""What `sapwood plan` says of memory and hours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.pipeline.cost import CHANGES
from sapwood.recipe import load_recipe
from sapwood.recipe.schema import Recipe
from sapwood.training.footprint import UNUSABLE, Machine, predict

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


def plan(*arguments: object, code: int = 0) -> str:
    """What the verb prints, which must end with this status."""
    result = CliRunner().invoke(app, ["plan", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.stdout


def on_a_gpu(recipe: Recipe, **training: object) -> int:
    """Bytes that the recipe takes on a GPU, with some fields of `training` changed."""
    changed = recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})
    return predict(Path(recipe.model), changed, Machine()).total


def test_the_memory_of_a_process_and_the_operations_of_the_run(tiny_recipe: TinyRecipe) -> None:
    printed = plan(tiny_recipe())
    assert re.search(r"memory of the process, stage 'adaptation' +GiB", printed)
    assert "floating point operations in all" in printed
    assert "GPU-hours" not in printed


def test_a_gpu_by_name_has_memory_and_hours(tiny_recipe: TinyRecipe) -> None:
    printed = plan(tiny_recipe(training={"batch_tokens": 512, "learning_rate": 1e-3}), "--gpu", "h100", "--gpus", 4)
    assert "memory of each of 4 × H100 SXM" in printed
    assert "usable of 80 GiB: it fits" in printed
    assert re.search(r"At 40% of the peak, which is an assumption \(--mfu\): 0.0 GPU-hours, 0.0 hours on 4", printed)


def test_hours_are_operations_by_what_the_gpus_are_assumed_to_do(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe(
        stages=[{"name": "one", "tokens": "100T", "mixture": {"zh": 1}}],
        training={"batch_tokens": "4K", "learning_rate": 1e-3},
        sources={name: {"tokens": "100T"} for name in ("web-zh", "book-zh", "web-en", "news-en")},
    )
    printed = plan(path, "--gpu", "A100", "--gpus", 2, "--mfu", 0.5)
    operations = float(re.search(r"(\S+) floating point operations in all", printed)[1])
    hours, wall = (
        float(found.replace(",", "")) for found in re.search(r"(\S+) GPU-hours, (\S+) hours", printed).groups()
    )
    assert hours == pytest.approx(operations / (312e12 * 0.5 * 3600), rel=0.01)
    assert wall == pytest.approx(hours / 2, rel=0.01)


def test_what_does_not_fit_ends_with_1_and_the_change_that_would_do(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    recipe = load_recipe(path)
    least, most = on_a_gpu(recipe, micro_batch=1), on_a_gpu(recipe)
    memory = int((least + most) / 2 / (1 - UNUSABLE))
    printed = plan(path, "--memory", memory, code=1)
    assert "does not fit" in printed
    assert "It would fit with training.micro_batch=1\n" in printed
    plan(path, "--memory", memory, "training.micro_batch=1")


def test_no_more_is_changed_than_is_needed(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe(
        training={"batch_tokens": 512, "micro_batch": 1, "precision": "fp32", "learning_rate": 1e-3, "ema": 0.9}
    )
    recipe = load_recipe(path)
    offload = recipe.training.parallel.model_copy(update={"offload": True})
    memory = int(on_a_gpu(recipe, parallel=offload) / (1 - UNUSABLE)) + 1000
    assert "It would fit with training.parallel.offload=true\n" in plan(path, "--memory", memory, code=1)


def test_where_nothing_helps_it_says_so(tiny_recipe: TinyRecipe) -> None:
    assert "take more GPUs" in plan(tiny_recipe(), "--memory", "1GiB", code=1)


def test_every_change_is_one_that_the_recipe_takes(tiny_recipe: TinyRecipe) -> None:
    for name, value in CHANGES:
        load_recipe(tiny_recipe(), [f"training.{name}={str(value).lower()}"])


def test_an_unknown_gpu_is_an_error_that_names_the_known_ones(tiny_recipe: TinyRecipe) -> None:
    result = CliRunner().invoke(app, ["plan", str(tiny_recipe()), "--gpu", "H1000"])
    assert isinstance(result.exception, SapwoodError)
    assert "H100" in str(result.exception)


def test_a_model_that_is_not_here_is_planned_without_cost(
    tiny_recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("downloads for a plan"))
    printed = plan(tiny_recipe(model="nobody/has-this"), "--gpu", "H100")
    assert "not known before the model is on this machine" in printed


def test_a_pattern_that_matches_nothing_is_found_while_planning(tiny_recipe: TinyRecipe) -> None:
    training = {"batch_tokens": 512, "learning_rate": 1e-3, "trainable": ["model.layres.*"]}
    result = CliRunner().invoke(app, ["plan", str(tiny_recipe(training=training))])
    assert isinstance(result.exception, SapwoodError)
    assert "matches none of the model's parameters" in str(result.exception)
