"""Whoever answers the questions of a task: our own evaluator here, on torch alone; lm-evaluation-harness elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sapwood.recipe.task import Task
from sapwood.suites.continuations import score_continuations
from sapwood.suites.generate import generate_texts
from sapwood.suites.model import EvaluatedModel
from sapwood.suites.question import Form, Pair, Question

VERSION = 1
"""Goes up when the same model would get other numbers."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says to the questions of a task, in their order."""

    loglikelihoods: list[dict[Form, list[float]]]
    """ln p of every pair of every question, by form."""
    texts: list[str] | None
    """What it wrote; None where nothing was to be written."""
    cuts: list[bool]
    """Whether the beginning of a prompt was left out, because the model cannot read so much."""


class Evaluator(Protocol):
    """A model, and a way to ask it."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the answers beside the weights and the questions."""
        ...

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        """The answers to the questions. On several ranks this is a collective."""
        ...


@dataclass(frozen=True, slots=True)
class TorchEvaluator:
    """Our own evaluator: the model in this process, batched without padding waste, on as many ranks as there are."""

    model: EvaluatedModel

    @property
    def settings(self) -> dict[str, Any]:
        """See `Evaluator`."""
        model = self.model
        return {
            "evaluator": f"sapwood {VERSION}",
            "tokenizer": model.encoder.fingerprint,
            "precision": model.precision,
            "window": model.window,
        }

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        """See `Evaluator`."""
        flat = list(flatten(questions))
        scored = score_continuations(self.model, [pair for _, _, pair in flat], task.name)
        loglikelihoods: list[dict[Form, list[float]]] = [defaultdict(list) for _ in questions]
        cuts = [False] * len(questions)
        for (number, form, _), continuation in zip(flat, scored, strict=True):
            loglikelihoods[number][form].append(continuation.loglikelihood)
            cuts[number] |= continuation.cut
        prompts = [question.prompt for question in questions if question.prompt is not None]
        texts = None
        if prompts:
            written = generate_texts(
                self.model, prompts, stop=task.stop, max_tokens=task.max_tokens, title=f"{task.name}, writing"
            )
            texts = [item.text for item in written]
            cuts = [cut or item.cut for cut, item in zip(cuts, written, strict=True)]
        return Answers([dict(forms) for forms in loglikelihoods], texts, cuts)


def flatten(questions: Sequence[Question]) -> list[tuple[int, Form, Pair]]:
    """All pairs of all questions, with the question's number and the form."""
    return [
        (number, form, pair)
        for number, question in enumerate(questions)
        for form, pairs in question.pairs.items()
        for pair in pairs
    ]
