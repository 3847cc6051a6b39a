"""Programs that a model wrote, and whether they pass their tests. They run in the sandbox, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Task
from sapwood.sandbox.execute import Ended, Sandbox, in_parallel
from sapwood.suites.question import Question
from sapwood.suites.template import fill

TIMEOUT_SECONDS = 10.0
"""How long a program may run."""
MEMORY_BYTES = 2**30
"""How much memory it may take."""
ENDS: tuple[Ended, ...] = get_args(Ended)


def run_programs(task: Task, questions: Sequence[Question], texts: Sequence[str], sandbox: Sandbox) -> list[str]:
    """How the program in each text ended, run together with the tests of its question. Ranks share the work."""
    programs = [_program(task, question, text) for question, text in zip(questions, texts, strict=True)]

    def run(program: str) -> float:
        outcome = sandbox.run(program, timeout_seconds=TIMEOUT_SECONDS, memory_bytes=MEMORY_BYTES)
        return float(ENDS.index(outcome.ended))

    def numbers(part: Sequence[str]) -> list[float]:
        return in_parallel(run, part)

    return [ENDS[int(number)] for number in Ranks.joined().divide(numbers, programs)]


def _program(task: Task, question: Question, text: str) -> str:
    item = question.item
    assert task.program is not None
    try:
        return fill(task.program, {**item.fields, "answer": item.answer, "completion": text})
    except ValueError as error:
        raise SapwoodError(f"Task '{task.name}', item '{item.id}': `program` cannot be filled in: {error}.") from None
