"""Programs that a model wrote, and whether they pass their tests. They run in the sandbox, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch

from sapwood.errors import SapwoodError
from sapwood.evaluation.question import Question
from sapwood.evaluation.ranks import shared
from sapwood.evaluation.template import fill
from sapwood.recipe.task import Task

TIMEOUT_SECONDS = 10.0
"""How long a program may run."""
MEMORY_BYTES = 2**30
"""How much memory it may take."""
ENDS = ("passed", "failed", "ended early", "out of time", "out of memory", "too much output", "crashed")
"""How a program can end."""


class Outcome(Protocol):
    """What became of a program."""

    @property
    def ended(self) -> str:
        """One of `ENDS`."""
        ...


class Programs(Protocol):
    """What runs programs."""

    def run(self, program: str, *, timeout_seconds: float, memory_bytes: int) -> Outcome:
        """Runs one, and says how it ended."""
        ...


def run_programs(
    task: Task, questions: Sequence[Question], texts: Sequence[str], sandbox: Programs, device: torch.device
) -> list[str]:
    """How the program in each text ended, run together with the tests of its question. Ranks share the work."""
    programs = [_program(task, question, text) for question, text in zip(questions, texts, strict=True)]

    def numbers(part: Sequence[str]) -> list[float]:
        def run(program: str) -> float:
            outcome = sandbox.run(program, timeout_seconds=TIMEOUT_SECONDS, memory_bytes=MEMORY_BYTES)
            return float(ENDS.index(outcome.ended))

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return list(pool.map(run, part))

    return [ENDS[int(number)] for number in shared(numbers, programs, device)]


def _program(task: Task, question: Question, text: str) -> str:
    item = question.item
    assert task.program is not None
    try:
        return fill(task.program, {**item.fields, "answer": item.answer, "completion": text})
    except ValueError as error:
        raise SapwoodError(f"Task '{task.name}', item '{item.id}': `program` cannot be filled in: {error}.") from None
