from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from sandboxes import needs_sandbox
from sapwood.errors import SapwoodError
from sapwood.generation.cache import Completion, Request
from sapwood.generation.client import Failure
from sapwood.recipe import Synthesis
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import CodeTests
from sapwood.recipe.units import Interval
from sapwood.runs.manifest import Manifest
from sapwood.sandbox.execute import Sandbox
from sapwood.synthesis.code import RunTests, program_in
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.item import Item
from sapwood.synthesis.prompt import load_prompt
from sapwood.synthesis.run import Work, write_items
from sapwood.synthesis.stage import Stage, Verdict

SOLUTION = "def area(width, height):\n    return width * height"
TESTS = "assert area(2, 3) == 6\nassert area(0, 3) == 0\nassert area(5, 1) == 5"
QUICK = CodeTests(timeout=Interval(1, "seconds"), memory=2**28)


def item(answer: str, tests: str) -> Item:
    return Item(id="0", question="?", answer=answer, tests=tests, discipline="d", format="code", language="en")


def nobody(_: ModelServer, __: Sequence[Request]) -> list[Completion | Failure]:
    raise AssertionError("no model is asked")


def judge(answer: str, tests: str, settings: CodeTests = QUICK) -> Verdict:
    stage: Stage = RunTests(settings)
    (verdict,) = stage.check([item(answer, tests)], nobody)
    assert isinstance(verdict, Verdict)
    return verdict


@needs_sandbox
def test_a_right_solution_with_tests_that_test_passes() -> None:
    verdict = judge(SOLUTION, TESTS)
    assert verdict == Verdict(True, score=1.0, detail={"mutants": 2, "missed": []})
    assert judge(SOLUTION, "from solution import area\n" + TESTS).passed
    assert judge(SOLUTION, "import solution\nassert solution.area(2, 3) == 6").passed
    assert judge(SOLUTION + "\n\nif __name__ == '__main__':\n    print(area(int(input()), 2))", TESTS).passed


@needs_sandbox
def test_the_score_is_the_share_of_mistakes_that_tests_catch() -> None:
    verdict = judge("def f(x):\n    return x + 1 if x > 2 else 0", "assert f(5) == 6", CodeTests(mutants=100))
    assert verdict.passed
    assert verdict.score == pytest.approx(4 / 7)
    assert verdict.detail["mutants"] == 7
    assert sorted(line.partition(" → ")[2] for line in verdict.detail["missed"]) == [
        "return x + 1 if x > 2 else 1",
        "return x + 1 if x > 3 else 0",
        "return x + 1 if x >= 2 else 0",
    ]
    assert judge(SOLUTION, TESTS, CodeTests(mutants=0)) == Verdict(True)


@needs_sandbox
@pytest.mark.parametrize(
    ("answer", "tests", "reason"),
    [
        ("The answer is `area`.", TESTS, "not Python"),
        ("```python\n" + SOLUTION + "\n```", TESTS, "not Python"),
        ("def area(:", TESTS, "not Python"),
        ("x = '\0'", TESTS, "not Python"),
        ("x = 0x" + "f" * 5000, TESTS, "not Python"),
        (SOLUTION, "assert area(2, 3) = 6", "tests are not Python"),
        (SOLUTION, "'''", "tests are not Python"),
        ("x = " + "+".join("1" * 3000), TESTS, "nested too deeply"),
        ("def area(a, b):\n    return a + b", TESTS, "tests fail"),
        ("def other(a, b):\n    return a * b", TESTS + "\nother", "tests fail"),
        ("return 6", TESTS + "\nsolution", "tests fail"),
        ("", TESTS + "\nsolution", "tests fail"),
        ("import nowhere\n" + SOLUTION, TESTS, "tests fail"),
        ("import subprocess\nsubprocess.run(['/usr/bin/env'])\n" + SOLUTION, TESTS, "tests fail"),
        (SOLUTION, "", None),
        (SOLUTION, "area(2, 3)", "tests test nothing"),
        (SOLUTION, "assert True\narea(2, 3)", "tests test nothing"),
        (SOLUTION, "assert 2 * 3 == 6", "tests test nothing"),
        (SOLUTION, "def area(a, b): return a * b\n" + TESTS, "tests test nothing"),
        (SOLUTION, "def test_area():\n    assert area(2, 3) == 7", "tests test nothing"),
        (SOLUTION, "assert callable(area)", "tests test nothing"),
        (SOLUTION, "try:\n    assert area(2, 3) == 7\nexcept Exception:\n    pass", "tests test nothing"),
        ("def f(out):\n    out.append(3 * 4)", "out = []\nf(out)\nassert len(out) == 1", "tests test nothing"),
        ("def area(a, b):\n    while True: pass", TESTS, "out of time"),
        ("def area(a, b):\n    return len(bytes(2**29)) * a * b", TESTS, "out of memory"),
        ("def area(a, b):\n    while True: print(a)", TESTS, "too much output"),
        ("import os\nos._exit(0)\n" + SOLUTION, TESTS, "ended early"),
        ("def area(a, b):\n    raise SystemExit(0)", TESTS, "ended early"),
        ("import os\ndef area(a, b):\n    os.abort()", TESTS, "crashed"),
    ],
)
def test_what_does_not_pass(answer: str, tests: str, reason: str | None) -> None:
    if reason is None:
        assert RunTests(QUICK).check([item(answer, tests)], nobody) == [None]
    else:
        verdict = judge(answer, tests)
        assert (verdict.passed, verdict.reason) == (False, reason), verdict


@needs_sandbox
def test_verdicts_come_in_order_with_their_evidence() -> None:
    wrong = [item(f"def area(a, b):\n    return {number}", TESTS) for number in range(5)]
    right = [item(SOLUTION, TESTS) for _ in range(5)]
    pairs = [one for pair in zip(wrong, right, strict=True) for one in pair]
    found = RunTests(QUICK).check([*pairs, item("42", "")], nobody)
    assert [verdict.passed for verdict in found[:-1] if isinstance(verdict, Verdict)] == [False, True] * 5
    assert found[-1] is None
    assert isinstance(found[0], Verdict)
    assert "assert area(2, 3) == 6" in found[0].detail["output"]
    assert found == RunTests(QUICK).check([*pairs, item("42", "")], nobody)


def test_without_a_sandbox_no_program_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert RunTests(QUICK).check([item("42", "")], nobody) == [None]
    with pytest.raises(SapwoodError, match="bubblewrap"):
        RunTests(QUICK).check([item(SOLUTION, TESTS)], nobody)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1", "x = 1"),
        ("\n  x = 1\n\n", "  x = 1"),
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("~~~ Python3 title=a\nx = 1\n~~~", "x = 1"),
        ("Here it is:\n\n```py\nx = 1\n\ny = 2\n```\nIt sets x.", "x = 1\n\ny = 2"),
        ("```python\nx = 1", "x = 1"),
        ("```python\nx = 1\n```\nand\n```python\ny = 2\n```", "x = 1\n\ny = 2"),
        ("```bash\npip install x\n```\n```python\nx = 1\n```", "x = 1"),
        ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''"),
        ("x = '```'", "x = '```'"),
        ("```text\nnothing\n```", "```text\nnothing\n```"),
        ("", ""),
    ],
)
def test_programs_are_found_in_answers(text: str, program: str) -> None:
    assert program_in(text) == program


@pytest.mark.parametrize(
    "settings", [{"timeout": "10 steps"}, {"timeout": 10}, {"memory": "1MiB"}, {"mutants": -1}, {"network": True}]
)
def test_settings_that_cannot_work(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CodeTests.model_validate(settings)


def test_a_missing_sandbox_is_noticed_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Sandbox:
        raise SapwoodError("no sandbox")

    monkeypatch.setattr(Sandbox, "find", missing)
    work = Work((), {("code-problem", "en"): load_prompt("code-problem", "en", None)}, [RunTests(QUICK)])
    planned = Manifest(step="synthesis", inputs={}, settings={})
    job = Synthesis.model_construct()
    with pytest.raises(SapwoodError, match="no sandbox"):
        write_items(job, work, planned, JobDirectory(tmp_path / "qa"), nobody)
    work = Work((), {}, [RunTests(QUICK)])
    assert write_items(job, work, planned, JobDirectory(tmp_path / "qa"), nobody).manifest is not None
