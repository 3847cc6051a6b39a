"""What the suites of a recipe need: their files of items, packages, a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from sapwood.errors import SapwoodError
from sapwood.evaluation.run_suites import find_sandbox
from sapwood.pipeline.problem import Problem
from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.suites.question import put_questions
from sapwood.suites.suite import items_directory
from sapwood.suites.task_item import load_task_items


def check_suites(recipe: Recipe) -> Iterator[Problem]:
    """What keeps the suites of a recipe from being evaluated: all missing items, and not the first."""
    suites: list[Suite] = []
    for number, reference in enumerate(recipe.evaluation.suites):
        try:
            suites.append(load_suite(reference))
        except SapwoodError as error:
            yield Problem(("evaluation", "suites", str(number)), str(error))
    items = items_directory(recipe)
    place = ("evaluation", "suites" if items is None else "items")
    if items is not None and not items.is_dir():
        yield Problem(place, f"there is no directory {items}")
    for task in (task for suite in suites for task in suite.tasks.values()):
        try:
            put_questions(task, load_task_items(task, items))
        except SapwoodError as error:
            yield Problem(place, str(error))
    formulas = any(task.generates and task.equal == "formula" for suite in suites for task in suite.tasks.values())
    if formulas and find_spec("math_verify") is None:
        message = "formulas are compared by math-verify, which is not installed: pip install 'sapwood[eval]'"
        yield Problem(("evaluation", "suites"), message)
    try:
        find_sandbox(suites)
    except SapwoodError as error:
        yield Problem(("evaluation", "suites"), str(error))
