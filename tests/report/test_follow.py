"""A run is followed from afar: little is fetched, and what is fetched is what is there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.mixture.plan import Plan
from sapwood.report import follow
from sapwood.report.follow import OVERLAP_BYTES, Follower, Lines

PATH = "/metrics.jsonl"


class Store(MemoryFileSystem):
    """A store that counts the bytes it gives."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False
    fetched = 0

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        content = super().cat_file(path, start, end, **options)
        self.fetched += len(content)
        return content


@pytest.fixture
def store() -> Iterator[Store]:
    yield Store()
    Store.store.clear()


def text(*steps: int) -> bytes:
    return b"".join(
        json.dumps({"step": step, "digest": f"{step * 0x9E3779B97F4A7C15 % 2**64:016x}"}).encode() + b"\n"
        for step in steps
    )


VERSIONS = itertools.count()


def put(store: Store, content: bytes) -> tuple[int, str]:
    """Replaces the file; its size and version."""
    store.pipe_file(PATH, content)
    return len(content), str(next(VERSIONS))


def steps(lines: Lines[dict[str, Any]]) -> list[int]:
    return [record["step"] for record in lines.records]


def test_only_what_is_new_is_fetched(store: Store) -> None:
    lines = Lines(store, PATH, dict)
    lines.read(*put(store, text(*range(1000))))
    store.fetched = 0
    lines.read(*put(store, text(*range(1001))))
    assert steps(lines) == list(range(1001))
    assert store.fetched == OVERLAP_BYTES + len(text(1000))
    store.fetched = 0


def test_a_line_that_is_being_written_waits(store: Store) -> None:
    lines = Lines(store, PATH, dict)
    whole = text(1, 2, 3)
    lines.read(*put(store, whole[:-10]))
    assert steps(lines) == [1, 2]
    lines.read(*put(store, whole))
    assert steps(lines) == [1, 2, 3]


def test_a_resumed_run_has_fewer_steps_and_then_others(store: Store) -> None:
    lines = Lines(store, PATH, dict)
    lines.read(*put(store, text(*range(50))))
    lines.read(*put(store, text(*range(40))))
    assert steps(lines) == list(range(40))
    again = [*range(30), *range(130, 190)]  # rewritten and longer than before, between two looks
    lines.read(*put(store, text(*again)))
    assert steps(lines) == again
    lines.read(*put(store, text(*range(200, 230), *range(300, 360))))  # others, and as long
    assert steps(lines)[0] == 200
    lines.read(0, "")  # it is gone
    assert steps(lines) == []


def test_only_the_end_of_a_long_file_is_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "TAIL_BYTES", len(text(10)) * 3 + 1)
    monkeypatch.setattr(follow, "TAIL_LINES", 4)
    lines = Lines(store, PATH, dict, tail=True)
    numbers = [*range(10, 40)]  # of equally long lines
    lines.read(*put(store, text(*numbers)))
    assert steps(lines) == [37, 38, 39]
    assert store.fetched == len(text(10)) * 3 + 1
    lines.read(*put(store, text(*numbers, 41, 42)))
    assert steps(lines) == [38, 39, 41, 42]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 80)), max_size=12))
def test_the_lines_are_those_of_the_file(changes: list[tuple[int, int, int]]) -> None:
    """Whatever is taken off the end and put there, and wherever the file is cut while it is written."""
    store, number, there = Store(), 0, list[int]()
    lines = Lines(store, PATH, dict)
    for taken, added, cut in changes:
        there = there[: len(there) - taken] + list(range(number, number + added))
        number += added
        content = text(*there)
        lines.read(*put(store, content[: len(content) - cut]))
        assert steps(lines) == [
            json.loads(line)["step"]
            for line in content[: len(content) - cut].splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
    Store.store.clear()


def write(store: MemoryFileSystem, name: str, content: Any) -> None:
    store.pipe_file(f"/runs/demo/{name}", content if isinstance(content, bytes) else json.dumps(content).encode())


PLAN: dict[str, Any] = {"stages": [], "domains": [], "remarks": ["Mind the gap."]}


def logged(*steps: int) -> bytes:
    """Lines of steps as a run logs them."""
    names = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "data_wait", "seconds")
    numbers = dict.fromkeys(names, 1.0)
    known: dict[str, Any] = {**numbers, "stage": "s", "losses": {}, "skipped": False, "utilisation": None, "digest": ""}
    return b"".join(
        json.dumps({**known, "step": n, "position": n, "tokens": n, "memory_bytes": 1}).encode() + b"\n" for n in steps
    )


def evaluation(label: str, tokens: int) -> dict[str, Any]:
    return {"label": label, "model": "", "tokens": tokens, "settings": {}, "domains": {}, "samples": [], "seconds": 1.0}


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    found = MemoryFileSystem()
    found.makedirs("/runs/demo", exist_ok=True)
    yield found
    found.rm("/runs", recursive=True)


def test_a_run_behind_an_address(memory: MemoryFileSystem) -> None:
    follower = Follower("memory://runs/demo")
    standing = follower.look()
    assert (standing.name, standing.plan, standing.last, standing.checkpoint) == ("demo", None, None, None)
    write(memory, "recipe.yaml", b"name: adapted\nmodel: org/model\nevaluation: {retention: {margin: 0.02}}\n")
    write(memory, "plan.json", b'{"stages": [')  # being written
    write(memory, "metrics.jsonl", logged(1, 2))
    for step in (900, 1000):
        write(memory, f"checkpoints/step-{step:08d}/state.json", {"step": step})
    write(memory, "checkpoints/.step-00001100.tmp/state.json", {"step": 1100})
    for label, tokens in (("base", 0), ("step-00000900", 9), ("step-00001000", 10)):
        write(memory, f"evaluation/{label}.json", evaluation(label, tokens))
    standing = follower.look()
    assert (standing.name, standing.model, standing.margin, standing.plan) == ("adapted", "org/model", 0.02, None)
    assert [step.step for step in standing.steps] == [1, 2]
    assert standing.written is not None
    assert standing.checkpoint is not None
    assert standing.checkpoint.step == 1000
    assert standing.checkpoint.written is not None
    assert [found.label for found in standing.evaluations] == ["base", "step-00001000"]
    write(memory, "plan.json", PLAN)
    assert follower.look().plan == Plan.from_json(PLAN)


def test_what_did_not_change_is_not_fetched_again(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    write(memory, "plan.json", PLAN)
    write(memory, "recipe.yaml", b"name: adapted\n")
    write(memory, "metrics.jsonl", logged(1, 2))
    write(memory, "ledger.jsonl", b'{"event": "begin", "identity": {}}\n')
    write(memory, "evaluation/base.json", evaluation("base", 0))
    follower = Follower("memory://runs/demo")
    first = follower.look()

    def fetch(*arguments: object, **options: object) -> bytes:
        raise AssertionError(f"{arguments} fetched again")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fetch)
    second = follower.look()
    assert (second.plan, second.steps, second.ledger, second.evaluations) == (
        first.plan,
        first.steps,
        first.ledger,
        first.evaluations,
    )


def test_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="There is no run in"):
        Follower(str(tmp_path / "runs"))
    with pytest.raises(SapwoodError, match="Cannot open nowhere://runs"):
        Follower("nowhere://runs")


def test_a_store_that_does_not_answer(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower("memory://runs/demo")

    def unreachable(*arguments: object, **options: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(MemoryFileSystem, "ls", unreachable)
    with pytest.raises(SapwoodError, match="Cannot read memory://runs/demo: no route to host"):
        follower.look()
