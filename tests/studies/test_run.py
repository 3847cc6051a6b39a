"""A study is run, killed, extended: each trial once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.studies.run import run_study
from sapwood.studies.trials import Trial

pytestmark = pytest.mark.slow


DIVERGES = {"training.learning_rate": {"peak": 1e38}, "training.guard.limit": 0}


def test_trials_share_what_is_prepared_and_are_run_once(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study(seeds=1)
    ended: list[str] = []

    def tell(trial: Trial, result: object) -> None:
        ended.append(trial.name)

    found = run_study(path, tmp_path / "runs", reporter=tell)
    assert found.finished
    assert not found.failed
    assert ended == ["replay.seed-0", "none.seed-0"]
    trials = found.directory.trials
    tokens = [next((trials / name / "tokens" / "web-zh").rglob("tokens.npy")).stat().st_ino for name in ended]
    assert len(set(tokens)) == 1
    assert len({(trials / name / "evaluation" / "base.json").stat().st_ino for name in ended}) == 1

    # A seed and an arm are added: they alone are run. An arm that diverges is named, and stops no other.
    ended.clear()
    study = json.loads(path.read_text())
    study |= {"seeds": 2, "arms": {"diverges": DIVERGES, **study["arms"]}, "reference": "replay"}
    path.write_text(json.dumps(study))
    again = run_study(path, tmp_path / "runs", jobs=2, reporter=tell)
    assert sorted(ended) == ["diverges.seed-0", "diverges.seed-1", "none.seed-1", "replay.seed-1"]
    assert again.finished
    assert sorted(again.failed) == ["diverges.seed-0", "diverges.seed-1"]
    assert all("not finite" in why or "skipped" in why or "left out" in why for why in again.failed.values()), again
    assert again.directory.result("none.seed-1")

    study["arms"]["none"] = {"stages.0.mixture": {"zh": 9, "en": 1}}
    path.write_text(json.dumps(study))
    with pytest.raises(SapwoodError, match="Arm 'none' was changed after it was run with seed 0"):
        run_study(path, tmp_path / "runs")
