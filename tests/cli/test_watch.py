"""`sapwood watch`, as a user types it, on the files that a run writes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.evaluation.result import DocumentScore, DomainScore, Evaluation
from sapwood.files import write_json
from sapwood.mixture.adopt import adopt
from sapwood.mixture.domains import Sizes
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.plan import make_plan
from sapwood.mixture.rounds import next_round
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import StepMetrics

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tiny_recipe: Callable[..., Path], tmp_path: Path) -> RunDirectory:
    """A run whose first stage is half trained."""
    found = RunDirectory(tmp_path / "runs" / "tiny")
    recipe = load_recipe(tiny_recipe())
    adopt(found, recipe)
    plan = make_plan(recipe, Sizes({}, {}))
    write_json(found.plan, plan.to_json())
    ledger = Ledger(found.ledger)
    ledger.begin({"model": "0"})
    entry = next_round(recipe, plan, ledger, {})
    assert entry is not None
    ledger.append(entry)
    for step in range(1, 6):
        log_step(found, step)
    write_json(found.checkpoints / "step-00000003" / "state.json", {"step": 3})
    evaluation("base", 2.0).write(found.evaluation)
    return found


def log_step(run: RunDirectory, step: int) -> None:
    StepMetrics(
        step=step,
        position=step * 8,
        tokens=step * 512,
        stage="adaptation",
        loss=4.0 - step / 10,
        losses={},
        learning_rate=1e-3,
        gradient_norm=2.0,
        skipped=False,
        tokens_per_second=512.0,
        utilisation=None,
        data_wait=0.0,
        seconds=step * 1.0,
        memory_bytes=2**28,
        digest="",
    ).write(run.metrics)


def evaluation(label: str, nats: float) -> Evaluation:
    score = DomainScore(tuple(DocumentScore(str(number), 10, 5, nats + number) for number in range(3)))
    return Evaluation(label=label, model="0", tokens=0, settings={}, domains={"web-en": score, "news-en": score})


def finish(run: RunDirectory) -> None:
    """The first stage is all there was, and the adapted model was measured."""
    ledger = Ledger(run.ledger)
    ledger.finish(ledger.decided)
    evaluation("model", 1.5).write(run.evaluation)


def watched(run: object) -> str:
    result = CliRunner().invoke(app, ["watch", str(run), "--once"], catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


def test_once(run: RunDirectory) -> None:
    said = watched(run.root)
    for part in (
        "tiny  training",
        "step 5 of about",
        "51% ",
        "loss 3.700",
        "checkpoint of step 3",
        "web-zh",
        "news-en",
    ):
        assert part in said
    assert "Stage 'adaptation' begins with the mixture of the recipe" in " ".join(said.split())
    finish(run)
    assert "tiny  finished" in watched(run.root)
    assert "+0.072" in watched(run.root)  # 0.5 nats of 10 bytes


def test_elsewhere(run: RunDirectory) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(run.root), "/bucket/tiny", recursive=True)
    try:
        there, here = (re.sub(r"[\d.]+ s ago", "", watched(place)) for place in ("memory://bucket/tiny", run.root))
        assert there == here
    finally:
        memory.rm("/bucket", recursive=True)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="There is no run in"):
        CliRunner().invoke(app, ["watch", str(tmp_path / "tiny")], catch_exceptions=False)


def screens(run: RunDirectory) -> Iterator[str]:
    """What a terminal of 80 columns and 24 lines is sent, all of it so far, until the command ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "sapwood", "watch", str(run.root)]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm"}, close_fds=True)
    os.close(theirs)
    said = b""
    try:
        while part := _read(ours):
            said += part
            yield said.decode(errors="replace")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that nobody writes there any more
        return b""


def test_until_the_end(run: RunDirectory) -> None:
    """It shows each new step, and ends with the run."""
    last = ""
    logged = finished = False
    for last in screens(run):
        if "step 5 of" in last and not logged:
            log_step(run, 6)
            logged = True
        if "step 6 of" in last and not finished:
            finish(run)
            finished = True
    assert finished
    assert "finished" in last
