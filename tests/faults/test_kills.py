"""kill -9 at random moments of a whole run, from its first file to its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from random_kills import Kills, kill_at_random

pytestmark = pytest.mark.slow


def test_kills_lose_nothing_but_time(tmp_path: Path, tiny_backbone: Path) -> None:
    told: list[str] = []
    found = kill_at_random(tmp_path, tiny_backbone, kills=3, seed=1, tell=told.append)
    assert found == Kills(kills=3, runs=found.runs, different=0, failed=0), "\n".join(told)
