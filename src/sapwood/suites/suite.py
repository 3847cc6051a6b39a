"""Runs a suite: task by task, every item kept, nothing measured twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sapwood import answers
from sapwood.answers.grader import grader
from sapwood.device.ranks import Ranks
from sapwood.files import fingerprint
from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.recipe.task import Task
from sapwood.runs.manifest import Manifest, begin, finished
from sapwood.sandbox.execute import Sandbox
from sapwood.suites.evaluator import Evaluator
from sapwood.suites.item_result import ITEMS, SUMMARY, TaskResult, read_task_result
from sapwood.suites.judge import judge_choice, judge_writing, require_sandbox
from sapwood.suites.question import Question, put_questions
from sapwood.suites.task_item import TaskItems, load_task_items


def items_directory(recipe: Recipe) -> Path | None:
    """Where the files of the benchmarks lie."""
    return None if recipe.evaluation.items is None else Path(recipe.evaluation.items)


def named_suites(recipe: Recipe, only: Collection[str] | None = None) -> tuple[Suite, ...]:
    """The recipe's suites, or `only` some of them, with everything in them that can be asked.

    Raises SapwoodError where there is no such suite or task, where files are missing, or an item is not what its task's
    file says.
    """
    references = [name for name in recipe.evaluation.suites if only is None or name in only]
    suites = tuple(load_suite(reference) for reference in references)
    for suite in suites:
        check_items(suite, items_directory(recipe))
    return suites


def check_items(suite: Suite, items: Path | None) -> None:
    """Puts together everything that a suite asks. Raises SapwoodError where files are missing below `items`, or an item
    is not what its task's file says."""
    for task in suite.tasks.values():
        put_questions(task, load_task_items(task, items))


def run_suite(
    evaluator: Evaluator,
    suite: Suite,
    items: Path | None,
    directory: Path,
    *,
    weights: str,
    sandbox: Sandbox | None = None,
) -> dict[str, TaskResult]:
    """Puts every task of a suite to a model, and returns the results by task, in the suite's order.

    `items` is the directory with the benchmarks' files. Results are written into `directory/TASK`, a task at a time;
    one that was finished before for these `weights` (a fingerprint), items and settings is read from there. `sandbox`
    is where programs run that the model writes. On several ranks this is a collective; the first rank writes, and it
    alone gets the results.

    Raises SapwoodError, before anything is measured, where files, the sandbox or math-verify are missing, or an item is
    not what its task's file says.
    """
    tasks = list(suite.tasks.values())
    for task in tasks:
        require_sandbox(task, sandbox)
        if task.generates and task.equal == "formula":
            grader()
    loaded = [load_task_items(task, items) for task in tasks]
    put = [put_questions(task, found) for task, found in zip(tasks, loaded, strict=True)]
    ranks = Ranks.joined()
    results: dict[str, TaskResult] = {}
    for task, found, questions in zip(tasks, loaded, put, strict=True):
        place = directory / task.name
        planned = _planned(evaluator, task, found, questions, weights)
        done = ranks.first and finished(place, planned) is not None
        if not ranks.tell(done):
            result = run_task(evaluator, task, questions, sandbox)
            if ranks.first:
                begin(place, planned, (ITEMS, SUMMARY))
                result.write(place)
                planned.write(place)
        if ranks.first:
            results[task.name] = read_task_result(place)
    return results


def run_task(
    evaluator: Evaluator, task: Task, questions: Sequence[Question], sandbox: Sandbox | None = None
) -> TaskResult:
    """Puts the questions of one task to a model. On several ranks this is a collective, and all get the result."""
    found = evaluator.answer(task, questions)
    if task.kind == "choice":
        items = [
            judge_choice(task, question, loglikelihoods, cut)
            for question, loglikelihoods, cut in zip(questions, found.loglikelihoods, found.cuts, strict=True)
        ]
    else:
        items = judge_writing(task, questions, found, sandbox=sandbox)
    return TaskResult(task.name, task.reported, chance_of(task, questions), tuple(items))


def chance_of(task: Task, questions: Sequence[Question]) -> float:
    """What guessing scores on the average over the questions."""
    if task.chance is not None:
        return task.chance
    if task.kind != "choice":
        return 0.0
    return sum(1 / len(question.item.options) for question in questions) / len(questions)


def _planned(
    evaluator: Evaluator, task: Task, items: TaskItems, questions: Sequence[Question], weights: str
) -> Manifest:
    asked = fingerprint([question.hash for question in questions])
    return Manifest(
        step="task",
        inputs={"model": weights, "items": items.fingerprint, "questions": asked},
        settings={"task": _wording(task), **evaluator.settings, **_grader(task)},
        versions={name: _version(name) for name in ("torch", "transformers")},
        counts={"items": len(items.items)},
    )


def _wording(task: Task) -> dict[str, object]:
    """Everything in a task's file that decides results; where its files lie does not."""
    return task.model_dump(mode="json", exclude={"about": True, "files": True, "package": True, "shots": {"files"}})


def _grader(task: Task) -> dict[str, object]:
    """Who reads and compares answers: another version may judge otherwise."""
    if not task.generates or task.kind == "code":
        return {}
    formulas = {"math-verify": _version("math-verify")} if task.equal == "formula" else {}
    return {"answers": answers.VERSION, **formulas}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
