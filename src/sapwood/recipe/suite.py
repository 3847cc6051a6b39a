"""A suite: the tasks that models are compared by, and how each of them is put. One YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sapwood.errors import SapwoodError, closest
from sapwood.recipe.document import Problem, read_document
from sapwood.recipe.fields import Aim, Name, Strict
from sapwood.recipe.task import Metric, Shots, Task
from sapwood.recipe.task import problems as task_problems

SHIPPED = Path(__file__).parents[1] / "suites"
"""Where the tasks and suites lie that come with Sapwood."""


class Put(Strict):
    """How a suite puts a task, where that is not as the task's own file says."""

    renamed = {"measure": "metric"}

    shots: Annotated[int, Field(ge=0)] | None = None
    """How many solved items are shown."""
    metric: Metric | None = None
    """The metric that is reported."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Only so many items."""


class SuiteFile(Strict):
    """What stands in a suite's file."""

    name: Name
    """What the suite is called."""
    about: str = ""
    """What it is for."""
    tasks: Annotated[dict[str, Put | None], Field(min_length=1)]
    """The tasks, in order: names of those that come with Sapwood, or paths of files (from this one's directory)."""
    gain: list[str] = []
    """Tasks that are meant to get better: a family, judged together."""
    retention: list[str] = []
    """Tasks that are meant to stay as they are: another one."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """The loss of score, of which 1 is all, up to which a task under `retention` counts as kept. Declared before,
    judged after."""
    margin_bits: Annotated[float, Field(gt=0)] = 0.02
    """The same in bits per byte, of tasks of which these count."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite, with its tasks as it puts them."""

    name: str
    about: str
    tasks: Mapping[str, Task]
    """By name, in order."""
    gain: tuple[str, ...] = ()
    """Names of tasks."""
    retention: tuple[str, ...] = ()
    margin: float = 0.02
    """The loss of score up to which a task under `retention` counts as kept."""
    margin_bits: float = 0.02
    """The same in bits per byte."""

    def aim(self, task: str) -> Aim | None:
        """What is wanted of a task; None where it is not judged."""
        return "gain" if task in self.gain else "retention" if task in self.retention else None


def load_suite(reference: str) -> Suite:
    """Reads and checks a suite: a name that comes with Sapwood, or the path of a file.

    Raises RecipeError, which lists mistakes with their lines, and SapwoodError where there is no such suite or task.
    """
    path = _find(reference, "suite", Path())
    written = read_document(path, (), SuiteFile, lambda suite: _problems(suite, path.parent))
    tasks = {task.name: task for task in _tasks(written, path.parent)}
    return Suite(
        name=written.name,
        about=written.about,
        tasks=tasks,
        gain=tuple(written.gain),
        retention=tuple(written.retention),
        margin=written.margin,
        margin_bits=written.margin_bits,
    )


def load_task(reference: str, here: Path = Path()) -> Task:
    """Reads and checks a task: a name that comes with Sapwood, or the path of a file, from the directory `here`.

    Raises RecipeError, which lists mistakes with their lines, and SapwoodError where there is no such task.
    """
    path = _find(reference, "task", here)
    task = read_document(path, (), Task, task_problems)
    beside = [str(path.parent / file) if (path.parent / file).is_file() else file for file in task.shots.files]
    return task.model_copy(update={"shots": task.shots.model_copy(update={"files": beside})})


def shipped(kind: str) -> list[str]:
    """The names of the tasks (`task`) or suites (`suite`) that come with Sapwood."""
    return sorted(path.stem for path in (SHIPPED / f"{kind}s").glob("*.yaml"))


def _find(reference: str, kind: str, here: Path) -> Path:
    if reference.endswith((".yaml", ".yml")):
        path = here / Path(reference).expanduser()
        if not path.is_file():
            raise SapwoodError(f"There is no {kind} {path}.")
        return path
    names = shipped(kind)
    if reference not in names:
        raise SapwoodError(
            f"There is no {kind} '{reference}'. {closest(reference, names)} One of your own is named by its file, "
            f"such as {reference}.yaml."
        )
    return SHIPPED / f"{kind}s" / f"{reference}.yaml"


def _put(task: Task, put: Put) -> Task:
    changes: dict[str, object] = {name: value for name, value in put if name != "shots" and value is not None}
    if put.shots is not None:
        changes["shots"] = Shots(**{**dict(task.shots), "count": put.shots})
    return task.model_copy(update=changes)


def _tasks(suite: SuiteFile, here: Path) -> list[Task]:
    return [_put(load_task(reference, here), put or Put()) for reference, put in suite.tasks.items()]


def _problems(suite: SuiteFile, here: Path) -> Iterator[Problem]:
    names: list[str] = []
    for reference, task in zip(suite.tasks, _tasks(suite, here), strict=True):
        for _, message in task_problems(task):
            yield ("tasks", reference), message
        if task.name in names:
            yield ("tasks", reference), f"there are two tasks called '{task.name}': give one of them another name"
        names.append(task.name)
    for family in ("gain", "retention"):
        for number, name in enumerate(getattr(suite, family)):
            if name not in names:
                yield (family, number), f"there is no task '{name}' in this suite. {closest(name, names)}"
    for number, name in enumerate(suite.retention):
        if name in suite.gain:
            yield ("retention", number), f"'{name}' is under 'gain' too: a task is meant either to grow or to stay"
