"""The engine for Ray, on a cluster of two processors on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engine_blocks
from engine_blocks import Shorten, WriteItems, items, run_items, written
from sapwood.corpus.annotate import Step, annotate
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'sapwood[ray]'")

SMALL = {"mem_per_cpu_gb": 0.1}
RAY = Engine(kind="ray", workers=2, options={"address": "local", **SMALL})


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(engine_blocks.__file__).parent))  # for `engine_blocks`
        yield
        ray.shutdown()


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    engine = Engine(kind="ray", options=SMALL)
    with pytest.raises(SapwoodError, match=r"No Ray cluster is running here. Start one .*`local`"):
        run_items(WriteItems(tmp_path), tmp_path / "logs", engine)
    assert items(tmp_path) == {}


def test_the_files_are_those_of_the_local_engine(
    make_store: Callable[..., SourceStore], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stores = []
    for engine in (Engine(workers=1), RAY):
        store = make_store([f"text {number} " * (number % 7) for number in range(40)], root=tmp_path / engine.kind)
        annotate(store, Step(name="short", annotator=Shorten(), settings={}), engine)
        stores.append({path.name: path.read_bytes() for path in store.step("short").glob("*.parquet")})
    assert stores[0] == stores[1]
    assert len(stores[0]) == 6
    said = capfd.readouterr()
    assert said.out == ""
    ended = [line for line in said.err.splitlines() if line.endswith(", 0 s left")]  # a slow machine says more
    assert len(ended) <= 2, said.err


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_items(WriteItems(Path()), Path("logs"), RAY, tasks=3)
    assert items(tmp_path) == written()


def test_what_a_block_says_to_the_user(tmp_path: Path) -> None:
    block = WriteItems(tmp_path, {1: "refuse"})
    with pytest.raises(SapwoodError, match=r"^the source says: no$"):
        run_items(block, tmp_path / "logs", RAY, tasks=3)
    run_items(block, tmp_path / "logs", RAY, tasks=3)
    assert items(tmp_path) == written()


def test_a_task_whose_process_is_killed_is_tried_again(tmp_path: Path) -> None:
    run_items(WriteItems(tmp_path, {1: "kill", 4: "kill"}), tmp_path / "logs", RAY, tasks=3)
    assert items(tmp_path) == written()


def test_a_task_whose_process_is_always_killed(tmp_path: Path) -> None:
    block = WriteItems(tmp_path, dict.fromkeys((1, 4, 7), "kill"))
    with pytest.raises(SapwoodError, match="killed 3 times in task 1"):
        run_items(block, tmp_path / "logs", RAY, tasks=3)
    run_items(block, tmp_path / "logs", RAY, tasks=3)
    assert items(tmp_path) == written()


def test_tasks_that_no_node_can_take_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from sapwood.corpus.engines.ray import _tell_if_nothing_fits

    _tell_if_nothing_fits({"CPU": 1, "GPU": 0, "memory": 2**20})
    assert capfd.readouterr().err == ""
    _tell_if_nothing_fits({"CPU": 64, "GPU": 0, "memory": 2**30})
    assert "No node of the Ray cluster has 64 CPUs, 0 GPUs and 1.0 GiB now" in capfd.readouterr().err
