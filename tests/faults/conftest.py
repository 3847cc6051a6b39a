"""A finished tiny run, of which every test gets a copy to damage."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.cli.main import main
from small_faults import Outcome, put_recipe


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """The directory of a run that has come to its end; its recipe stands in `recipe.yaml` two above it."""
    place = tmp_path_factory.mktemp("finished")
    recipe = put_recipe(place, tiny_backbone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sapwood", "run", str(recipe), "--runs", str(place / "runs")])
        with pytest.raises(SystemExit, match="0"):
            main()
    return place / "runs" / "tiny"


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished_run, tmp_path / "runs" / "tiny"))


@pytest.fixture
def sapwood(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a verb in this process, as the command line does."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sapwood", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capfd.readouterr()
        return Outcome(status, said.out, said.err)

    return run
