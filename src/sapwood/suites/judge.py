"""What an answer to an item is worth: the chosen option, the answer found in a text, a program that passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np

from sapwood.answers.equal import same_formula, same_number, same_text
from sapwood.answers.find import letter
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.recipe.task import Equal, Task
from sapwood.sandbox.execute import Ended, Sandbox, in_parallel
from sapwood.suites.evaluator import Answers
from sapwood.suites.item_result import ItemResult
from sapwood.suites.question import Form, Question
from sapwood.suites.task_item import fill, take_answer


def is_equal(way: Equal, gold: str, given: str) -> bool:
    """Whether an answer equals the right one: as text, as a number, or as a formula.

    Texts are compared without case, width, surrounding space and a full stop at their end; numbers and formulas as in
    the verification of synthetic items. Formulas are compared by math-verify, in a process of its own that no formula
    can hold up.

    Raises SapwoodError where math-verify is needed and not installed.
    """
    return _EQUAL[way](gold, given)


_EQUAL: dict[Equal, Callable[[str, str], bool]] = {"text": same_text, "number": same_number, "formula": same_formula}


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


def judge_choice(
    task: Task, question: Question, loglikelihoods: Mapping[Form, Sequence[float]], cut: bool
) -> ItemResult:
    """What comes of the log-likelihoods of a question's pairs, by form."""
    item = question.item
    taken = preferred(item.options, loglikelihoods)
    metric = task.reported if task.reported in taken else next(iter(taken))
    right = [*loglikelihoods.get("solution", ()), *loglikelihoods.get("cloze", ())[item.gold :]]
    return ItemResult(
        id=item.id,
        subject=item.subject,
        cluster=item.cluster,
        prompt=question.hash,
        gold=item.letter,
        prediction=letter(taken[metric]),
        scores={metric: float(option == item.gold) for metric, option in taken.items()},
        bits=-right[0] / math.log(2) if right else None,
        bytes=len((task.delimiter + item.answer).encode()) if right else None,
        options=item.options,
        loglikelihoods={form: tuple(values) for form, values in loglikelihoods.items()},
        cut=cut,
    )


def preferred(options: Sequence[str], loglikelihoods: Mapping[Form, Sequence[float]]) -> dict[str, int]:
    """The number of the option that each metric takes; of equals, the first.

    `cloze` compares ln p of the options' texts, `cloze-characters` and `cloze-bytes` the same for each character and
    byte of an option, `cloze-pmi` what the question adds to it, ln p(option | question) - ln p(option); `letters`
    compares ln p of the options' letters, where they were shown.
    """
    values: dict[str, np.ndarray] = {}
    if "cloze" in loglikelihoods:
        cloze = np.array(loglikelihoods["cloze"])
        values["cloze"] = cloze
        values["cloze-characters"] = cloze / np.array([max(1, len(option)) for option in options])
        values["cloze-bytes"] = cloze / np.array([max(1, len(option.encode())) for option in options])
        if "unconditional" in loglikelihoods:
            values["cloze-pmi"] = cloze - np.array(loglikelihoods["unconditional"])
    if "letters" in loglikelihoods:
        values["letters"] = np.array(loglikelihoods["letters"])
    return {metric: int(np.argmax(array)) for metric, array in values.items()}


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
            "With `metric: bits` nothing is run."
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
    metric = "pass" if task.kind == "code" else "match"
    return ItemResult(
        id=item.id,
        subject=item.subject,
        cluster=item.cluster,
        prompt=question.hash,
        gold=item.answer,
        prediction=judged.prediction if judged else "",
        scores={metric: judged.score} if judged else {},
        bits=None if solution is None else -solution[0] / math.log(2),
        bytes=None if solution is None else len((task.delimiter + item.solution).encode()),
        loglikelihoods={form: tuple(values) for form, values in loglikelihoods.items()},
        text=text,
        remark=judged.remark if judged else "",
        cut=cut,
    )
