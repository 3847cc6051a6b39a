"""Multiple choice: which option a model takes, by each way of comparing their likelihoods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sapwood.answers.letters import letter
from sapwood.recipe.task import Task
from sapwood.suites.item_result import ItemResult
from sapwood.suites.question import Form, Question


def judge_choice(
    task: Task, question: Question, loglikelihoods: Mapping[Form, Sequence[float]], cut: bool
) -> ItemResult:
    """What comes of the log-likelihoods of a question's pairs, by form."""
    item = question.item
    taken = preferred(item.options, loglikelihoods)
    counts = task.reported if task.reported in taken else next(iter(taken))
    right = [*loglikelihoods.get("solution", ()), *loglikelihoods.get("cloze", ())[item.gold :]]
    return ItemResult(
        id=item.id,
        subject=item.subject,
        cluster=item.cluster,
        prompt=question.hash,
        gold=item.letter,
        prediction=letter(taken[counts]),
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
