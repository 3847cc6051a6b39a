from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_blocks
from engine_blocks import ITEMS, Shorten, WriteItems, items, run_items, written
from sapwood import files
from sapwood.corpus import engine as module
from sapwood.corpus.annotate import Step, annotate
from sapwood.corpus.engine import check_engine, run
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine

pytestmark = pytest.mark.slow

ONE, THREE = Engine(workers=1), Engine(workers=3)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(engine_blocks.__file__).parent)}


@pytest.mark.parametrize(("engine", "tasks"), [(ONE, ITEMS), (THREE, ITEMS), (THREE, 2)])
def test_all_tasks_are_run(tmp_path: Path, engine: Engine, tasks: int, capfd: pytest.CaptureFixture[str]) -> None:
    run_items(WriteItems(tmp_path), tmp_path / "logs", engine, tasks)
    assert items(tmp_path) == written()
    assert len(list((tmp_path / "logs" / "completions").iterdir())) == tasks
    assert len(list((tmp_path / "logs" / "stats").iterdir())) == tasks
    assert capfd.readouterr().out == ""


def test_the_files_do_not_depend_on_the_workers(
    make_store: Callable[..., SourceStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKER_BYTES", 1)
    stores = []
    for engine in (ONE, THREE):
        store = make_store([f"text {number} " * (number % 7) for number in range(60)], root=tmp_path / str(engine))
        annotate(store, Step(name="short", annotator=Shorten(), settings={}), engine)
        stores.append({path.name: path.read_bytes() for path in store.step("short").glob("*.parquet")})
    assert stores[0] == stores[1]
    assert len(stores[0]) == 9


def test_complete_tasks_are_not_run_again(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    run_items(WriteItems(tmp_path), logs, ONE)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    run_items(WriteItems(tmp_path), logs, ONE)
    assert items(tmp_path) == {}
    (logs / "completions" / "00005").unlink()
    run_items(WriteItems(tmp_path), logs, ONE)
    assert set(items(tmp_path)) == {"5.txt"}


def test_marks_of_another_number_of_tasks_do_not_count(tmp_path: Path) -> None:
    run_items(WriteItems(tmp_path), tmp_path / "logs", ONE, tasks=4)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    run_items(WriteItems(tmp_path), tmp_path / "logs", ONE, tasks=5)
    assert items(tmp_path) == written()


def test_no_tasks(tmp_path: Path) -> None:
    run_items(WriteItems(tmp_path), tmp_path / "logs", ONE, tasks=0)
    assert list(tmp_path.iterdir()) == []


@given(tasks=st.integers(1, 5000), total=st.integers(0, 2**45), more=st.integers(0, 2**40))
def test_the_number_of_tasks(tasks: int, total: int, more: int) -> None:
    count = module._count(tasks, total)
    assert min(tasks, module.FEW_TASKS) <= count <= min(tasks, module.MANY_TASKS)
    assert count <= module._count(tasks, total + more)


@pytest.mark.parametrize("engine", [ONE, THREE])
def test_what_a_block_says_to_the_user(tmp_path: Path, engine: Engine) -> None:
    block = WriteItems(tmp_path, {4: "refuse"})
    with pytest.raises(SapwoodError, match=r"^the source says: no$"):
        run_items(block, tmp_path / "logs", engine)
    run_items(block, tmp_path / "logs", engine)
    assert items(tmp_path) == written()


def test_an_error_in_this_process_is_raised_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="odd"):
        run_items(WriteItems(tmp_path, {4: "odd"}), tmp_path / "logs", ONE)


def test_the_traceback_of_an_error_in_a_worker_is_kept(tmp_path: Path) -> None:
    block = WriteItems(tmp_path, {4: "odd"})
    with pytest.raises(RuntimeError, match="web: items: task 4 stopped with LookupError: odd") as caught:
        run_items(block, tmp_path / "logs", THREE)
    kept = tmp_path / "logs" / "failures" / "00004.json"
    assert str(kept) in str(caught.value)
    for text in (kept.read_text(), *caught.value.__notes__):
        assert "in _meet" in text
    run_items(block, tmp_path / "logs", THREE)
    assert items(tmp_path) == written()
    assert not kept.exists()


@pytest.mark.parametrize(("trouble", "how"), [("kill", r"was killed \(SIGKILL\)"), ("exit", "ended with exit code 3")])
def test_a_worker_that_is_killed_is_noticed(tmp_path: Path, trouble: str, how: str) -> None:
    block = WriteItems(tmp_path, {4: trouble, 5: "hang"})
    with pytest.raises(
        SapwoodError, match=f"web: items: a worker process {how}.*the same command continues.*`workers`"
    ):
        run_items(block, tmp_path / "logs", THREE)
    deadline = time.monotonic() + 60
    for met in tmp_path.glob("met-*"):
        while is_alive(int(met.read_text())) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_alive(int(met.read_text()))
    run_items(WriteItems(tmp_path), tmp_path / "logs", THREE)
    assert items(tmp_path) == written()


@pytest.mark.parametrize("engine", [ONE, THREE])
def test_no_memory(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(SapwoodError, match="Fewer workers"):
        run_items(WriteItems(tmp_path, {2: "memory"}), tmp_path / "logs", engine)


MAIN = """
import sys
from pathlib import Path
from engine_blocks import WriteItems, run_items
from sapwood.recipe.data import Engine
run_items(WriteItems(Path(sys.argv[1]), {0: "hang", 1: "hang"}), Path(sys.argv[1]) / "logs", Engine(workers=2))
"""


@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_workers_end_with_the_main_process(tmp_path: Path, how: str) -> None:
    main = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(tmp_path)],
        env=ENVIRONMENT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    with waited_for():
        while len(hanging := [int(met.read_text() or 0) for met in tmp_path.glob("met-*")]) < 2 or 0 in hanging:
            time.sleep(0.05)
    if how == "interrupted":
        os.killpg(main.pid, signal.SIGINT)
    else:
        main.kill()
    _, said = main.communicate()
    assert main.returncode == -(signal.SIGINT if how == "interrupted" else signal.SIGKILL)
    assert said.count("Traceback") == (how == "interrupted")  # that of the main process alone
    with waited_for():
        while any(map(is_alive, hanging)):
            time.sleep(0.05)
    assert items(tmp_path) == {}


@pytest.mark.parametrize("engine", [ONE, THREE])
def test_a_full_disk(tmp_path: Path, engine: Engine) -> None:
    """With a file system of its own that is too small, in a mount namespace that ends with the process."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = ["unshare", "--map-root-user", "--mount", "bash", "-c"]
    mount = f"mount -t tmpfs -o size=100k none {disk}"
    try:
        subprocess.run([*inside, mount], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs mount namespaces")
    enlarge = f"mount -o remount,size=8m {disk}"
    command = f'{mount} && "{sys.executable}" -c "$0" {disk} {engine.workers} "{enlarge}"'
    done = subprocess.run([*inside, command, FULL], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no space left on the device of" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


FULL = """
import subprocess, sys
from pathlib import Path
from engine_blocks import ITEMS, WriteItems, items, run_items
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine
disk, engine, logs = Path(sys.argv[1]), Engine(workers=int(sys.argv[2])), Path(sys.argv[1]) / "logs"
block = WriteItems(disk, size=8000)
try:
    run_items(block, logs, engine)
except SapwoodError as error:
    print(error)
whole = {f"{item}.txt": (f"{item} " * 8000).encode() for item in range(ITEMS)}
there = {name: content for name, content in items(disk).items() if not name.endswith(".tmp")}
assert 0 < len(there) < ITEMS and there.items() <= whole.items(), there.keys()
subprocess.run(sys.argv[3].split(), check=True)
run_items(block, logs, engine)
assert whole.items() <= items(disk).items()
"""


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [13]

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", fsync)
    block = WriteItems(tmp_path)
    with pytest.raises(
        SapwoodError, match=r"no space left on the device of .*Free some and run the same command again"
    ):
        run_items(block, tmp_path / "logs", ONE)
    assert 0 < len(items(tmp_path)) < ITEMS
    assert items(tmp_path).items() <= written().items()
    left[0] = 1000
    run_items(block, tmp_path / "logs", ONE)
    assert items(tmp_path) == written()


def test_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []

    @contextmanager
    def track(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
        shown.extend([total, done])
        yield shown.append

    monkeypatch.setattr(module, "track", track)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    (tmp_path / "0.txt").touch()
    run(
        [WriteItems(tmp_path)],
        tasks=ITEMS,
        logs=tmp_path / "logs",
        engine=ONE,
        title="web: items",
        total=ITEMS,
        reached=lambda: len(list(tmp_path.glob("*.txt"))),
    )
    assert shown[:2] == [ITEMS, 1]
    assert sum(shown[1:]) == ITEMS


def test_progress_is_told_when_there_is_some() -> None:
    """The shards of a Slurm job are often there long before its end is seen."""

    class Looks:
        left = 6

        def wait(self, seconds: float) -> bool:
            self.left -= 1
            return self.left == 0

    sizes = iter([2, 2, 4, 4, 4, 4])
    told: list[int] = []
    module._watch(lambda: next(sizes), 0, Looks(), told.append)
    assert told == [2, 2]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Engine(options={"partition": "cpu"}), "The local engine has no option 'partition'. It takes none."),
        (Engine(kind="ray", options={"cpu_per_task": 2}), "Did you mean 'cpus_per_task'?"),
        (Engine(kind="ray", options={"cpus_per_task": "two"}), "'cpus_per_task' of the ray engine is 'two'"),
        (Engine(kind="slurm", options={"partition": "cpu"}), "The slurm engine needs 'time'"),
        (Engine(kind="slurm", options={"tasks": 3, "time": "1:00:00"}), "The slurm engine has no option 'tasks'"),
        (Engine(kind="slurm", options={"partition": "cpu", "time": 3600}), "'time' of the slurm engine is 3600"),
    ],
)
def test_options_are_checked(engine: Engine, message: str) -> None:
    with pytest.raises(SapwoodError) as caught:
        check_engine(engine)
    assert message in str(caught.value)


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@contextmanager
def waited_for() -> Iterator[None]:
    """Ends a wait that would never end."""

    def give_up(*_: object) -> None:
        raise AssertionError("waited for a minute in vain")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
