"""Programs: what is run is the prompt, the model's text and the tests; how it ended is the score."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from exams import write_rows
from sapwood.errors import SapwoodError
from sapwood.recipe.suite import load_task
from sapwood.recipe.task import Task
from sapwood.suites.evaluator import Answers
from sapwood.suites.question import Question, put_questions
from sapwood.suites.suite import run_task
from sapwood.suites.task_item import load_task_items

PROBLEMS = [
    {
        "task_id": f"Test/{number}",
        "prompt": f'def add(a, b):\n    """Adds, {number}."""\n',
        "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    }
    for number in range(3)
]


@dataclass
class Ended:
    ended: str


@dataclass
class Interpreter:
    """Runs programs of these tests alone, which do no harm, in a plain process."""

    seen: list[str] = field(default_factory=list)

    def run(self, program: str, *, timeout_seconds: float, memory_bytes: int) -> Ended:
        self.seen.append(program)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
        return Ended("failed" if done.returncode else "passed")


@dataclass
class Writes:
    """An evaluator whose model writes what it is told to."""

    texts: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        return Answers([{"solution": [-8.0]} for _ in questions], self.texts, [False] * len(questions))


def test_programs_pass_or_fail_by_their_tests(tmp_path: Path) -> None:
    write_rows(tmp_path / "HumanEval.jsonl", PROBLEMS)
    task = load_task("humaneval")
    questions = put_questions(task, load_task_items(task, tmp_path))
    assert questions[0].prompt == PROBLEMS[0]["prompt"]
    sandbox = Interpreter()
    texts = ["    return a + b\n", "    return a - b\n", "    return a +"]
    result = run_task(Writes(texts), task, questions, sandbox)
    assert [item.scores["pass"] for item in result.items] == [1.0, 0.0, 0.0]
    assert [item.remark for item in result.items] == ["passed", "failed", "failed"]
    assert [item.id for item in result.items] == ["Test/0", "Test/1", "Test/2"]
    assert result.metric == "pass"
    assert sorted(sandbox.seen)[0].startswith('def add(a, b):\n    """Adds, 0."""\n    return a + b\n')
    assert result.items[0].bits == pytest.approx(8 / 0.6931471805599453)
    assert result.items[0].bytes == len(b"    return a + b\n")


def test_short_programs_are_put_with_their_tests(tmp_path: Path) -> None:
    rows = [
        {
            "task_id": number,
            "text": "Write a function to add.",
            "code": "def add(a, b):\n    return a + b",
            "test_list": ["assert add(1, 2) == 3"] * 3,
            "test_setup_code": "",
        }
        for number in range(4)
    ]
    write_rows(tmp_path / "mbpp-test.jsonl", rows[:1])
    write_rows(tmp_path / "mbpp-prompt.jsonl", [{**row, "text": f"Add {row['task_id']}."} for row in rows])
    task = load_task("mbpp")
    questions = put_questions(task, load_task_items(task, tmp_path))
    assert questions[0].prompt is not None
    assert questions[0].prompt.count("[DONE]") == 3
    assert questions[0].prompt.endswith("assert add(1, 2) == 3\n[BEGIN]\n")
    result = run_task(Writes([rows[0]["code"]]), task, questions, Interpreter())
    assert result.value == 1


def test_nothing_runs_without_a_sandbox(tmp_path: Path) -> None:
    write_rows(tmp_path / "HumanEval.jsonl", PROBLEMS)
    task = load_task("humaneval")
    questions = put_questions(task, load_task_items(task, tmp_path))
    with pytest.raises(SapwoodError, match="no sandbox"):
        run_task(Writes(["x"] * 3), task, questions)
