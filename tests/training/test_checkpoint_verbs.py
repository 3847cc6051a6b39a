from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from small_runs import prepare_and_train

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


@pytest.fixture
def recipe(tiny_recipe: TinyRecipe) -> Path:
    path = tiny_recipe()
    prepare_and_train(path)
    return path


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_checkpoints_are_listed_and_the_damaged_named(recipe: Path) -> None:
    runs = recipe.parent / "runs"
    saved = sorted((runs / "tiny" / "checkpoints").iterdir())
    output = invoke("checkpoint", "list", recipe, "--runs", runs)
    assert all(path.name in output for path in saved)
    assert output.count("whole") == len(saved)
    file = next(saved[0].glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    result = CliRunner().invoke(app, ["checkpoint", "list", str(recipe), "--runs", str(runs)])
    assert result.exit_code == 1
    assert "is damaged" in " ".join(result.output.split())


def test_the_model_of_the_last_checkpoint_is_the_grown_one(recipe: Path, tmp_path: Path) -> None:
    runs, target = recipe.parent / "runs", tmp_path / "model"
    last = sorted((runs / "tiny" / "checkpoints").iterdir())[-1].name
    invoke("checkpoint", "export", recipe, last, "--output", target, "--runs", runs)
    one, other = (load_file(path / "model.safetensors") for path in (target, runs / "tiny" / "model"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    invoke("checkpoint", "export", recipe, last, "--output", target, "--runs", runs, "--dtype", "bf16")
    assert all(tensor.dtype == torch.bfloat16 for tensor in load_file(target / "model.safetensors").values())


def test_a_checkpoint_that_is_not_there_is_refused(recipe: Path, tmp_path: Path) -> None:
    arguments = ["checkpoint", "export", str(recipe), "step-00000099", "--output", str(tmp_path / "model")]
    with pytest.raises(SapwoodError, match="no checkpoint 'step-00000099'"):
        CliRunner().invoke(app, [*arguments, "--runs", str(recipe.parent / "runs")], catch_exceptions=False)
