from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sapwood.answers import formulas, grader
from sapwood.answers.grader import Grader
from sapwood.errors import SapwoodError

pytestmark = pytest.mark.slow

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def judge() -> Grader:
    return Grader()


def test_a_formula_that_never_ends_is_given_up(judge: Grader) -> None:
    assert judge.compare("9^{9^{9^{9}}} + 1", "5") is None
    assert judge.compare("x+x", "2x") is True


def test_a_process_that_dies_is_started_again(judge: Grader) -> None:
    assert judge.compare("x+x", "2x") is True
    assert judge._process is not None
    os.kill(judge._process.pid, signal.SIGKILL)
    judge._process.wait()
    assert judge.compare("x+x", "2x") is None
    assert judge.compare("x+x", "2x") is True


@pytest.mark.parametrize("formula", ["(" * 30, "\\" * 50, "}{", "\x00", "\ud83d", "__import__('os').getcwd()", "\\int"])
def test_nonsense_is_no_formula(judge: Grader, formula: str) -> None:
    assert judge.is_formula(formula.encode("utf-8", "replace").decode()) is False


def test_formulas_are_never_run_as_programs(judge: Grader, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for formula in (f"__import__('os').mkdir('{made}')", f"1 if open('{made}', 'w') else 2"):
        judge.compare(formula, "1")
    assert not made.exists()


def test_no_key_of_a_server_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "very-secret")
    judge = Grader()
    assert judge.is_formula("x") is True
    assert judge._process is not None
    assert b"very-secret" not in Path(f"/proc/{judge._process.pid}/environ").read_bytes()
    judge.close()


def test_without_math_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SapwoodError, match=r"sapwood\[synthesis\]"):
        Grader()


def test_a_program_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SapwoodError, match="does not start"):
        Grader().is_formula("x")


def test_small_numbers_are_not_all_zero() -> None:
    assert formulas.compare(r"1.6\times 10^{-19}", r"2\times 10^{-19}") is False
    assert formulas.compare(r"1.6\times 10^{-19}", r"1.602\times 10^{-19}") is True
