"""The functions that `import sapwood` offers, as a notebook calls them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sapwood
from sapwood.pipeline.handle import written

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "python" / "adapt.py"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, sapwood; sys.exit(any(name.startswith('sapwood.') or name == 'numpy' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in sapwood.PUBLIC:
        assert getattr(sapwood, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'grow'"):
        sapwood.grow  # noqa: B018


def test_fields_are_set_as_on_the_command_line(tiny_recipe: Callable[..., Path]) -> None:
    changes = {"training.learning_rate.peak": 2e-5, "training.batch_tokens": "1K", "evaluation.suites": []}
    assert written(changes)[0] == "training.learning_rate.peak=0.00002"
    recipe = sapwood.load_recipe(tiny_recipe(), changes)
    assert recipe == sapwood.open_run(tiny_recipe(), written(changes)).recipe
    assert recipe.training.learning_rate.peak == 2e-5
    with pytest.raises(sapwood.SapwoodError, match="when a recipe is read"):
        sapwood.open_run(recipe, {"seed": 1})


def test_a_recipe_without_a_file_is_refused_by_its_fields(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = sapwood.load_recipe(tiny_recipe(model=str(tmp_path / "absent")))
    with pytest.raises(sapwood.SapwoodError, match=r"^model: .*absent"):
        sapwood.plan(recipe)
    with pytest.raises(sapwood.SapwoodError, match=r"recipe\.yaml:1: model: "):
        sapwood.plan(tmp_path / "recipe.yaml")


def test_the_example_runs_and_goes_on(
    tiny_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tiny_recipe()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["adapt.py", str(recipe)])
    for _ in range(2):
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        said = capsys.readouterr().out
        assert "6.976K tokens in 109 sequences" in said
        assert "  web-zh" in said
        assert said.count("retention") == 2
    run = sapwood.open_run(tmp_path / "runs" / "tiny")
    steps = run.metrics()
    assert steps.num_rows == 14
    assert {change.name for change in run.changes} == {"zh", "en", "news-en"}
    assert all(change.low <= change.value <= change.high for change in run.changes)
    assert (run.model / "model.safetensors").exists()
    assert "plotly" in (run.directory.root / "loss.html").read_text(encoding="utf-8")
