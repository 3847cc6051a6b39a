"""A task: a benchmark's items, how a question is put to a model, and how the answer counts. One YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field

from sapwood.recipe.document import Problem
from sapwood.recipe.fields import Name, Paths, Strict

Kind = Literal["choice", "generate", "code"]
Metric = Literal["letters", "cloze", "cloze-characters", "cloze-bytes", "cloze-pmi", "match", "pass", "bits"]
Take = Literal["boxed", "hashes", "number", "letter", "line", "all"]
Equal = Literal["text", "number", "formula"]

METRICS: dict[Kind, tuple[Metric, ...]] = {
    "choice": ("cloze-bytes", "cloze-characters", "cloze", "cloze-pmi", "letters", "bits"),
    "generate": ("match", "bits"),
    "code": ("pass", "bits"),
}
"""What can count in a task of each kind; the first one does where nothing is said."""

_EXPRESSIONS = ("keep", "id", "subject", "cluster", "question", "options", "answer", "solution")
_TEMPLATES = ("description", "cloze", "letters", "prompt", "program")
_NEEDED: dict[Kind, tuple[str, ...]] = {
    "choice": ("options",),
    "generate": ("prompt", "take"),
    "code": ("prompt", "program"),
}
_FOREIGN: dict[Kind, tuple[str, ...]] = {
    "choice": ("prompt", "solution", "take", "stop", "program"),
    "generate": ("options", "cloze", "letters", "program"),
    "code": ("options", "cloze", "letters", "take"),
}


class Shots(Strict):
    """Solved items in front of the question, the same for every item."""

    count: Annotated[int, Field(ge=0)] = 0
    """How many."""
    files: Paths = []
    """Where they come from, beside the task's own file or else below the directory of items. Without any, they are the
    first of the task's own items; an item is never shown to itself."""
    same_subject: bool = False
    """Whether only those of the item's own subject are shown to it."""


class Generator(Strict):
    """A seeded program that makes the items."""

    name: Literal["word-labels", "digit-code"]
    """Which one; see `docs/suites.md`."""
    items: Annotated[int, Field(gt=0)] = 500
    """How many items."""
    examples: Annotated[int, Field(gt=0)] = 16
    """How many examples are shown in each."""
    seed: int = 0
    """Decides all of them."""


class Task(Strict):
    """A task.

    What is read from an item is said by Jinja expressions over the item's fields: `choices.text`,
    `answer.split('#### ')[1]`; `file` is the file's name without its endings, and `row` the number of its row. Prompts
    are Jinja templates, which see `question`, `options`, `letters`, `listed` (the options, lettered, a line each) and
    all fields of the item.
    """

    renamed = {"measure": "metric"}

    name: Name
    """What it is called; its results are kept under this name."""
    about: str = ""
    """What it asks."""
    kind: Kind
    """`choice`: the likeliest of several options. `generate`: a text that the model writes, with an answer in it.
    `code`: a program that the model writes, and that must pass tests."""
    language: str
    """Of the questions: `en`, `zh`."""
    files: Paths = []
    """Below the directory of items: JSON Lines or one array of JSON, plain or compressed (.gz, .zst, .xz, .bz2)."""
    package: Annotated[str, Field(pattern=r"^\w+/.+$")] | None = None
    """Where the items come with a Python package: MODULE/FILE. `files` are taken first where they exist."""
    generator: Generator | None = None
    """In place of files."""
    keep: str | None = None
    """Which rows of the files are items. Without it, all are."""
    id: str | None = None
    """What an item is called. Without it, a hash of its content."""
    subject: str | None = None
    """What an item is about, for shots of the same subject and for results by subject."""
    cluster: str | None = None
    """What ties items together, such as the passage they ask about. Without it, nothing does."""
    question: str = "question"
    """The question."""
    options: str | None = None
    """Of a choice: the list of options, without letters."""
    answer: str
    """The right answer. Of a choice: the option's number from 0, its letter, or the option itself. Of code: a right
    program."""
    solution: str | None = None
    """What stands behind the prompt in a shot, and is predicted for bits per byte. Without it, the answer."""
    description: str = ""
    """A text in front of everything."""
    cloze: str | None = None
    """Of a choice: the prompt that the options themselves continue."""
    letters: str | None = None
    """Of a choice: the prompt that shows the options, and that their letters continue."""
    prompt: str | None = None
    """Of generated answers and of code: the prompt."""
    delimiter: str = " "
    """What stands between a prompt and its answer."""
    separator: str = "\n\n"
    """What stands between shots."""
    shots: Shots = Shots()
    """Solved items in front of the question."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Only so many items, chosen by hash, the same for every model."""
    metric: Metric | None = None
    """The metric that is reported. Of choices all others are kept beside it. With `bits` nothing is generated."""
    stop: list[str] = []
    """Strings at which a generated text is cut off."""
    max_tokens: Annotated[int, Field(gt=0)] = 256
    """The longest text that is generated."""
    take: list[Take] = []
    """How the answer is taken from a generated text: the first of these that finds one."""
    equal: Equal = "text"
    """How it is compared with the right one."""
    program: str | None = None
    """Of code: the program that is run, a template that sees the generated text as `completion`."""
    chance: Annotated[float, Field(ge=0, lt=1)] | None = None
    """What guessing scores. Without it, one in as many as there are options; nothing where there are none."""
    lm_eval: str | None = None
    """What lm-evaluation-harness calls its own version."""

    @property
    def reported(self) -> Metric:
        """The metric that is reported."""
        return self.metric or METRICS[self.kind][0]

    @property
    def generates(self) -> bool:
        """Whether a model must write texts."""
        return self.kind != "choice" and self.reported != "bits"


def problems(task: Task) -> Iterator[Problem]:
    """Everything in a task that contradicts something else in it: where, and what to write instead."""
    if (task.generator is not None) == bool(task.files or task.package):
        yield ("files",), "a task has either 'files' (or 'package') with its items, or a 'generator'"
    for name in _NEEDED[task.kind]:
        if not getattr(task, name):
            yield (name,), f"a task of the kind '{task.kind}' needs '{name}'"
    for name in _FOREIGN[task.kind]:
        if getattr(task, name):
            yield (name,), f"a task of the kind '{task.kind}' has no '{name}'"
    if task.kind == "choice" and task.cloze is None and task.letters is None:
        yield ("cloze",), "a choice needs a prompt: 'cloze', 'letters', or both"
    yield from _metric(task)
    if task.shots.same_subject and task.subject is None:
        yield ("shots", "same_subject"), "say how the 'subject' is read from an item"
    yield from _syntax(task)


def _metric(task: Task) -> Iterator[Problem]:
    if task.reported not in METRICS[task.kind]:
        allowed = ", ".join(METRICS[task.kind])
        yield (
            ("metric",),
            f"found '{task.metric}': a task of the kind '{task.kind}' reports one of: {allowed}",
        )
    elif task.kind == "choice":
        needed = "letters" if task.reported == "letters" else "cloze"
        if getattr(task, needed) is None:
            yield ("metric",), f"'{task.reported}' needs the prompt '{needed}'"


def _syntax(task: Task) -> Iterator[Problem]:
    environment = SandboxedEnvironment()
    for name in (*_EXPRESSIONS, *_TEMPLATES):
        text = getattr(task, name)
        if text is None:
            continue
        # An expression is what could stand between braces; unknown filters are found when it is used.
        source = f"{{{{ {text} }}}}" if name in _EXPRESSIONS else text
        try:
            environment.parse(source)
        except TemplateSyntaxError as error:
            yield (name,), f"found {text!r}, which Jinja cannot read: {error.message}"
