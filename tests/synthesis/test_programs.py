from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.synthesis import programs
from sapwood.synthesis.programs import make_items

WANTED = {"chain_sum": 5, "calendar_arithmetic": 3, "gsm_symbolic": 4}

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed (sapwood[programs])"
)


@needs_package
def test_writes_items_in_turn(tmp_path: Path) -> None:
    items = read_lines(make_items("puzzles", WANTED, 7, tmp_path))
    assert len(items) == 12
    assert [(item["generator"], item["index"]) for item in items[:4]] == [
        ("chain_sum", 0),
        ("calendar_arithmetic", 0),
        ("gsm_symbolic", 0),
        ("chain_sum", 1),
    ]
    for item in items:
        assert item["text"] == f"Question: {item['question']}\nAnswer: {item['answer']}"
    sums = [item for item in items if item["generator"] == "chain_sum"]
    for item in sums:
        expression = item["question"].partition(":")[2].rstrip("= ")
        terms = expression.replace(" - ", " + -").split(" + ")
        assert sum(map(int, terms)) == int(item["answer"])


@needs_package
def test_the_seed_decides_in_any_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from sapwood.synthesis.programs import make_items;"
        f"make_items('puzzles', {WANTED!r}, int(sys.argv[1]), Path(sys.argv[2]))"
    )
    for name, seed, hash_seed in (("a", "7", "1"), ("b", "7", "2")):
        command = [sys.executable, "-c", script, seed, str(tmp_path / name)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    made = (tmp_path / "a" / "items.jsonl").read_bytes()
    assert (tmp_path / "b" / "items.jsonl").read_bytes() == made
    assert make_items("puzzles", WANTED, 8, tmp_path / "c").read_bytes() != made
    assert make_items("riddles", WANTED, 7, tmp_path / "d").read_bytes() != made


@needs_package
def test_what_is_made_is_not_made_again(tmp_path: Path) -> None:
    path = make_items("puzzles", WANTED, 7, tmp_path)
    written = path.stat().st_mtime_ns
    assert make_items("puzzles", WANTED, 7, tmp_path).stat().st_mtime_ns == written
    assert make_items("puzzles", {"gcd": 2}, 7, tmp_path).stat().st_mtime_ns != written
    assert len(read_lines(path)) == 2


@needs_package
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chain_sums", "Did you mean 'chain_sum'"),
        ("propositional_logic", "without an exact answer"),
        ("composite", "settings of its own"),
    ],
)
def test_generators_that_do_not_serve_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SapwoodError, match=message):
        make_items("puzzles", {name: 2}, 0, tmp_path)
    assert not (tmp_path / "items.jsonl").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setattr(programs, "_PACKAGE", "no-such-package")
    with pytest.raises(SapwoodError, match=r"pip install 'sapwood\[programs\]'"):
        make_items("puzzles", WANTED, 0, tmp_path)
