"""Two commands on one directory: the second is refused at once, and told who is at work there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.runs.lock import hold, refuse_held
from small_faults import Outcome, put_recipe

pytestmark = pytest.mark.slow

Sapwood = Callable[..., Outcome]

HOLDER = """
import sys, time
from pathlib import Path
from sapwood.runs.lock import hold
sys.argv = ["sapwood", "train", "recipe.yaml", "server.key=hidden"]
with hold(Path(sys.stdin.readline().strip())):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that holds a directory."""
    started: list[subprocess.Popen[str]] = []

    def start(directory: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{directory}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_holder_is_named_and_its_lock_ends_with_it(
    tmp_path: Path, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = holder(tmp_path)
    with pytest.raises(SapwoodError) as refused, hold(tmp_path):
        pass
    message = str(refused.value)
    assert message.startswith(f"{tmp_path} is in use: `sapwood train recipe.yaml` (process {process.pid} on ")
    assert socket.gethostname() in message
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", message)
    assert f"kill {process.pid}" in message
    assert "hidden" not in message
    with pytest.raises(SapwoodError, match="is in use"):
        refuse_held(tmp_path)
    process.kill()
    process.wait()
    refuse_held(tmp_path)
    with hold(tmp_path), hold(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_replaced_is_held_beside_it(tmp_path: Path) -> None:
    with hold(tmp_path / "model", replaced=True):
        assert not (tmp_path / "model").exists()
        assert [path.name for path in tmp_path.iterdir()] == [".model.held"]
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_nothing_came_of_it(tmp_path: Path) -> None:
    with hold(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_ranks_share_and_others_wait(tmp_path: Path) -> None:
    child = (
        "import sys; from pathlib import Path; from sapwood.runs.lock import hold\n"
        "with hold(Path(sys.argv[1]), {}): pass"
    )

    def try_to_hold(how: str) -> int:
        command = [sys.executable, "-c", child.format(how), str(tmp_path)]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode

    with hold(tmp_path, rank=0):
        assert try_to_hold("rank=1") == 0
        assert try_to_hold("rank=0") == 1
        assert try_to_hold("replaced=False") == 1
    assert try_to_hold("replaced=False") == 0


def test_a_forked_child_holds_nothing(tmp_path: Path) -> None:
    with hold(tmp_path):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with hold(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


WRITERS = [
    ("prepare",),
    ("score", "corpus.perplexity={}"),
    ("train",),
    ("run",),
    ("evaluate",),
    ("merge", "--last", "2"),
    ("export",),
    ("topics", "label"),
    ("topics", "train"),
    ("topics", "apply"),
]
READERS = [
    ("plan",),
    ("watch", "--once"),
    ("report",),
    ("account",),
    ("audit", "--step", "1"),
    ("replay",),
    ("checkpoint", "list"),
]
GROUPS = ("checkpoint", "topics")


def on(run: Path, verb: tuple[str, ...]) -> list[object]:
    """The arguments of a verb about a run."""
    name = 2 if verb[0] in GROUPS else 1
    return [*verb[:name], run, *verb[name:]]


def test_verbs_that_write_are_refused_and_others_are_not(
    finished: Path, sapwood: Sapwood, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    holder(finished)
    for verb in WRITERS:
        refused = sapwood(*on(finished, verb))
        assert refused.is_refusal, (verb, refused)
        assert f"{finished} is in use: `sapwood train recipe.yaml`" in refused.said, verb
    for verb in READERS:
        assert sapwood(*on(finished, verb)).status == 0, verb


def test_outputs_and_jobs_are_held_too(
    tmp_path: Path, tiny_backbone: Path, sapwood: Sapwood, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        held = subprocess.Popen(
            [sys.executable, "-c", HOLDER.replace(".strip())", ".strip()), replaced=True")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert held.stdin is not None
            assert held.stdout is not None
            held.stdin.write("bigger\n")
            held.stdin.flush()
            assert held.stdout.readline() == "held\n"
            refused = sapwood("expand", tiny_backbone, "--blocks", 1, "--output", "bigger")
            assert refused.is_refusal
            assert "bigger is in use" in refused.said
        finally:
            held.kill()
            held.communicate()
    assert sapwood("expand", tiny_backbone, "--blocks", 1, "--output", tmp_path / "bigger").status == 0


def test_ranks_end_with_their_agent(tmp_path: Path, tiny_backbone: Path, sapwood: Sapwood) -> None:
    """torchrun is killed with -9: both ranks end, the directory is free, and the run goes on to the same end."""
    recipe = put_recipe(tmp_path, tiny_backbone)
    runs = tmp_path / "runs"
    assert sapwood("prepare", recipe, "--runs", runs).status == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "sapwood"]
    command += ["train", str(recipe), "training.checkpoints.every=1 steps", "--runs", str(runs)]
    agent = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True
    )
    try:
        while agent.poll() is None and not (runs / "tiny" / "metrics.jsonl").exists():
            time.sleep(0.01)
        assert agent.poll() is None
        refused = sapwood("train", recipe, "--runs", runs)
        assert refused.is_refusal
        assert "is in use" in refused.said
        ranks = _children(agent.pid)
        assert len(ranks) == 2
    finally:
        agent.kill()
        agent.wait()
    deadline = time.monotonic() + 60
    while any(_is_running(rank) for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(_is_running(rank) for rank in ranks)
    while _is_held(runs / "tiny") and time.monotonic() < deadline:  # its threads may end after the process
        time.sleep(0.01)
    assert sapwood("train", recipe, "training.checkpoints.every=1 steps", "--runs", runs).status == 0
    assert sapwood("replay", runs / "tiny").status == 0


def _is_held(directory: Path) -> bool:
    try:
        refuse_held(directory)
    except SapwoodError:
        return True
    return False


def _children(pid: int) -> list[int]:
    return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
