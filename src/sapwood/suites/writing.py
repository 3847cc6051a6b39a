"""Texts that a model wrote to answer questions: what counts as its answer, and whether that is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Task
from sapwood.sandbox.execute import Sandbox
from sapwood.suites.code import run_programs
from sapwood.suites.evaluator import Answers
from sapwood.suites.extract import take_answer
from sapwood.suites.grading import is_equal
from sapwood.suites.item_result import ItemResult
from sapwood.suites.question import Form, Question

NO_ANSWER = "no answer"
"""The remark on a text in which there is none."""


class Judged(NamedTuple):
    """What a text comes to."""

    prediction: str
    score: float
    remark: str


def judge_writing(
    task: Task,
    questions: Sequence[Question],
    answers: Answers,
    *,
    sandbox: Sandbox | None,
) -> list[ItemResult]:
    """What comes of the texts, and of the log-likelihoods of the solutions. Without texts, only of the latter.

    Ranks share the work. Raises SapwoodError where there are programs, and no sandbox to run them.
    """
    require_sandbox(task, sandbox)
    texts = answers.texts
    judged: Sequence[Judged | None] = [None] * len(questions)
    if texts is not None and sandbox is not None and task.kind == "code":
        judged = _programs(task, questions, texts, sandbox)
    elif texts is not None:
        judged = _answers(task, questions, texts)
    return [
        _result(
            task,
            question,
            answers.loglikelihoods[number],
            None if texts is None else texts[number],
            judged[number],
            answers.cuts[number],
        )
        for number, question in enumerate(questions)
    ]


def require_sandbox(task: Task, sandbox: Sandbox | None) -> None:
    """Raises SapwoodError where programs must run for a task, and there is no sandbox."""
    if task.kind == "code" and task.generates and sandbox is None:
        raise SapwoodError(
            f"Task '{task.name}' runs programs that the model writes, and there is no sandbox to run them in. "
            "With `measure: bits` nothing is run."
        )


def _answers(task: Task, questions: Sequence[Question], texts: Sequence[str]) -> list[Judged]:
    taken = [take_answer(text, task.take) for text in texts]
    pairs = [(question.item.answer, answer) for question, answer in zip(questions, taken, strict=True)]

    def compare(part: Sequence[tuple[str, str | None]]) -> list[float]:
        return [float(answer is not None and is_equal(task.equal, gold, answer)) for gold, answer in part]

    scores = Ranks.joined().divide(compare, pairs)
    return [
        Judged(answer or "", score, NO_ANSWER if answer is None else "")
        for answer, score in zip(taken, scores, strict=True)
    ]


def _programs(task: Task, questions: Sequence[Question], texts: Sequence[str], sandbox: Sandbox) -> list[Judged]:
    ends = run_programs(task, questions, texts, sandbox)
    return [Judged(text, float(end == "passed"), end) for text, end in zip(texts, ends, strict=True)]


def _result(
    task: Task,
    question: Question,
    loglikelihoods: Mapping[Form, Sequence[float]],
    text: str | None,
    judged: Judged | None,
    cut: bool,
) -> ItemResult:
    item = question.item
    solution = loglikelihoods.get("solution")
    measure = "pass" if task.kind == "code" else "match"
    return ItemResult(
        id=item.id,
        subject=item.subject,
        cluster=item.cluster,
        prompt=question.hash,
        gold=item.answer,
        prediction=judged.prediction if judged else "",
        scores={measure: judged.score} if judged else {},
        bits=None if solution is None else -solution[0] / math.log(2),
        bytes=None if solution is None else len((task.delimiter + item.solution).encode()),
        loglikelihoods={form: tuple(values) for form, values in loglikelihoods.items()},
        text=text,
        remark=judged.remark if judged else "",
        cut=cut,
    )
