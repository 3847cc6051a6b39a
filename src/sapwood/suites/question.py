"""Items put into words: what exactly a model is asked, whoever runs it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sapwood.answers.find import letter
from sapwood.errors import SapwoodError
from sapwood.files import fingerprint
from sapwood.recipe.task import Task
from sapwood.suites.task_item import TaskItem, TaskItems, fill

Form = Literal["cloze", "unconditional", "letters", "solution"]
"""What is made likely or not: the options after the question; the options after nothing; their letters after the
question with the options; the solution, or the right option, after the question."""


class Pair(NamedTuple):
    """A text whose likelihood is asked for, and what stands before it."""

    context: str
    continuation: str


@dataclass(frozen=True, slots=True)
class Question:
    """An item as it is put to a model."""

    item: TaskItem
    pairs: Mapping[Form, tuple[Pair, ...]]
    """One pair for each option; of the form `solution` one alone."""
    prompt: str | None
    """What a text is generated from; None where none is."""

    @property
    def hash(self) -> str:
        """Identifies every word of it."""
        return fingerprint([{form: [list(pair) for pair in pairs] for form, pairs in self.pairs.items()}, self.prompt])


def put_questions(task: Task, items: TaskItems) -> list[Question]:
    """All items of a task as they are put to a model.

    Raises SapwoodError where there are too few shots, or a prompt wants fields that an item does not have.
    """
    words = _Words(task, items)
    return [_question(task, item, words) for item in items.items]


def _question(task: Task, item: TaskItem, words: _Words) -> Question:
    if task.kind != "choice":
        context = words.context("solution", item)
        pair = Pair(context, task.delimiter + item.solution)
        return Question(item, {"solution": (pair,)}, context if task.generates else None)
    options = [task.delimiter + option for option in item.options]
    pairs: dict[Form, tuple[Pair, ...]] = {}
    if task.cloze is not None:
        context = words.context("cloze", item)
        if task.reported.startswith("cloze") or not task.shots.count:
            pairs["cloze"] = tuple(Pair(context, option) for option in options)
            pairs["unconditional"] = tuple(Pair("", option) for option in options)
        else:  # every option costs as much as the shots are long, and only the right one is needed for bits per byte
            pairs["solution"] = (Pair(context, options[item.gold]),)
    if task.letters is not None:
        context = words.context("letters", item)
        names = [task.delimiter + letter(number) for number in range(len(options))]
        pairs["letters"] = tuple(Pair(context, name) for name in names)
    return Question(item, pairs, None)


class _Words:
    """The contexts of a task. Every shot is put into words once."""

    def __init__(self, task: Task, items: TaskItems) -> None:
        self._task = task
        self._shots = items.shots
        templates = {"cloze": task.cloze, "letters": task.letters, "solution": task.prompt}
        self._templates = {form: template for form, template in templates.items() if template is not None}
        self._told = {
            form: [self._fill(template, shot) + task.delimiter + _told(form, shot) for shot in items.shots]
            for form, template in self._templates.items()
        }

    def context(self, form: Form, item: TaskItem) -> str:
        """Everything that stands before the answer."""
        shown = [self._told[form][number] for number in self._shown(item)]
        question = self._fill(self._templates[form], item)
        return self._fill(self._task.description, item) + self._task.separator.join([*shown, question])

    def _shown(self, item: TaskItem) -> list[int]:
        """The numbers of the shots for an item."""
        shots = self._task.shots
        fitting = (
            number
            for number, shot in enumerate(self._shots)
            if (not shots.same_subject or shot.subject == item.subject) and not _same(shot, item)
        )
        shown = list(itertools.islice(fitting, shots.count))
        if len(shown) < shots.count:
            subject = f" of the subject '{item.subject}'" if shots.same_subject else ""
            raise SapwoodError(
                f"Task '{self._task.name}' shows {shots.count} solved items{subject}, but there are {len(shown)} "
                "beside the question. Show fewer (`shots:`), or name files with more."
            )
        return shown

    def _fill(self, template: str, item: TaskItem) -> str:
        try:
            return fill(template, _values(item))
        except ValueError as error:
            raise SapwoodError(
                f"Task '{self._task.name}', item {item.fields['row']} of {item.fields['file']}: the prompt cannot be "
                f"filled in: {error}."
            ) from None


def _values(item: TaskItem) -> dict[str, Any]:
    """What prompts see."""
    letters = [letter(number) for number in range(len(item.options))]
    listed = "\n".join(f"{name}. {option}" for name, option in zip(letters, item.options, strict=True))
    return {
        **item.fields,
        "question": item.question,
        "options": list(item.options),
        "letters": letters,
        "listed": listed,
        "answer": item.answer,
        "solution": item.solution,
        "subject": item.subject,
    }


def _told(form: str, shot: TaskItem) -> str:
    """The answer of a shot."""
    if form == "letters":
        return shot.letter
    return shot.answer if form == "cloze" else shot.solution


def _same(shot: TaskItem, item: TaskItem) -> bool:
    return (shot.question, shot.answer) == (item.question, item.answer)
