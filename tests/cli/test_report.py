from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.pipeline.handle import labels
from sapwood.recipe import dump_recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def report(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that have not begun."""
    recipe = load_recipe(RECIPES / "llama-3-syne.yaml")
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(dump_recipe(recipe.model_copy(update={"seed": seed})))
    return tmp_path / "a", tmp_path / "b"


def test_several_runs_make_one_page_beside_the_first(runs: tuple[Path, Path], tmp_path: Path) -> None:
    report(*runs)
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "<h1>a and b</h1>" in page
    assert not list(tmp_path.glob("*/report.html"))
    report(*runs, "--output", tmp_path / "pages" / "seeds.html")
    assert (tmp_path / "pages" / "seeds.html").exists()


def test_what_cannot_be_compared_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for arguments, message in (
        ([*runs, "seed=3"], "Runs are compared as they are: leave out seed=3"),
        ([runs[0], tmp_path], "is not the directory of a run, of which several can be compared"),
        ([RECIPES / "llama-3-syne.yaml", runs[0]], "is not the directory of a run"),
        ([runs[0], "training.seed"], "A field to set is written PATH=VALUE."),
        ([runs[0], f"{runs[0]}/"], "named twice"),
        ([runs[0], "--output", tmp_path / "page.html"], "--output is for a comparison of several runs"),
    ):
        with pytest.raises(SapwoodError, match=message):
            report(*arguments)
    assert not (tmp_path / "comparison.html").exists()


def test_labels_are_as_short_as_they_can_be() -> None:
    assert labels(["runs/a", "runs/b"]) == {"a": "runs/a", "b": "runs/b"}
    assert labels(["x/run", "y/run", "z"]) == {"x-run": "x/run", "y-run": "y/run", "z": "z"}
