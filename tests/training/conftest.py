"""A finished run of the tiny recipe, trained once for all that only look at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.runs.directory import RunDirectory
from small_runs import prepare_and_train


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, write_recipe: Callable[..., Path]) -> RunDirectory:
    """The run, in `runs` beside its recipe. No test changes it."""
    return prepare_and_train(write_recipe(tmp_path_factory.mktemp("plain")))
