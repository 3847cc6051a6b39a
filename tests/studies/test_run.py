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
    path = tiny_study(arms={"replay": {}, "diverges": DIVERGES}, seeds=1)
    ended: list[str] = []

    def tell(trial: Trial, result: object) -> None:
        ended.append(trial.name)

    found = run_study(path, tmp_path / "runs", reporter=tell)
    assert ended == ["replay.seed-0", "diverges.seed-0"]
    assert found.finished
    assert list(found.failed) == ["diverges.seed-0"]
    assert "step 2: loss nan" in found.failed["diverges.seed-0"]
    assert "learning rate is too high" in found.directory.log("diverges.seed-0").read_text()

    # An arm takes the place of the one that failed: it alone is run, on what the others made.
    ended.clear()
    study = json.loads(path.read_text())
    study["arms"] = {"replay": {}, "none": {"stages.0.mixture": {"zh": 1}}}
    path.write_text(json.dumps(study))
    found = run_study(path, tmp_path / "runs", reporter=tell)
    assert ended == ["none.seed-0"]
    assert found.finished
    assert not found.failed
    trials = [found.directory.trials / name for name in ("replay.seed-0", "none.seed-0")]
    tokens = [next((trial / "tokens" / "web-zh").rglob("tokens.npy")).stat().st_ino for trial in trials]
    assert len(set(tokens)) == 1
    assert len({(trial / "evaluation" / "base.json").stat().st_ino for trial in trials}) == 1

    study["arms"]["none"] = {"stages.0.mixture": {"zh": 9, "en": 1}}
    path.write_text(json.dumps(study))
    with pytest.raises(SapwoodError, match="Arm 'none' was changed after it was run with seed 0"):
        run_study(path, tmp_path / "runs")
