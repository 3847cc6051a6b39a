"""Ctrl-C before anything is begun, and removals that a kill has cut short."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sapwood.training.checkpoint import STATE
from small_faults import Outcome

pytestmark = pytest.mark.slow


def test_ctrl_c_at_the_start_is_no_traceback(finished: Path) -> None:
    rng = random.Random(0)
    command = [sys.executable, "-m", "sapwood", "evaluate", str(finished)]
    for _ in range(3):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(rng.uniform(0.3, 2.0))
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=120)
        if child.returncode:  # or else it had ended
            assert child.returncode in (130, -signal.SIGINT), said
            assert "Traceback" not in said or "sapwood" not in said, said  # Python itself may not have started
    assert not list(finished.rglob(".*"))


def test_half_removed_checkpoints_do_not_stay(finished: Path, sapwood: Callable[..., Outcome]) -> None:
    saved = sorted((finished / "checkpoints").iterdir())
    half = Path(shutil.copytree(saved[0], finished / "checkpoints" / "step-00000001"))
    (half / STATE).unlink()
    hidden = Path(shutil.copytree(saved[0], finished / "checkpoints" / ".step-00000002.0a1b2c3d.old"))
    assert sapwood("train", finished).status == 0
    assert not half.exists()
    assert not hidden.exists()
    assert sorted((finished / "checkpoints").iterdir()) == saved
