"""Everything that can be known before a run costs anything, looked at before it does: all problems in one list."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from sapwood.errors import SapwoodError
from sapwood.evaluation.run_suites import find_sandbox
from sapwood.mixture.open import read_sizes
from sapwood.mixture.plan import Plan, make_plan
from sapwood.pipeline.checks import Problem, check_disk, check_hardware, check_packages, refuse
from sapwood.pipeline.corpus import check_corpus, check_labels
from sapwood.pipeline.model import check_model, check_other_models
from sapwood.pipeline.sources import check_sources
from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.runs.directory import RunDirectory
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


Verb = Literal["plan", "run", "prepare", "train"]


def preflight(recipe: Recipe, run: RunDirectory, verb: Verb, *, elsewhere: bool = False) -> Iterator[Problem]:
    """What will stop a verb. With `elsewhere` the run is planned for another machine: hardware and disk of this one
    do not count."""
    fetch = verb != "plan"
    model = list(check_model(recipe, fetch=fetch))
    yield from model
    if verb != "train":
        yield from check_sources(recipe.sources)
        yield from check_corpus(recipe)
        if verb != "prepare":
            yield from check_labels(recipe, run)
        yield from check_other_models(recipe, fetch=fetch)
    if verb != "prepare":
        yield from check_packages(recipe)
        yield from check_suites(recipe)
        if not elsewhere:
            yield from check_hardware(recipe)
    if not elsewhere:
        yield from check_disk(recipe, run, with_model=not model)


def checked_plan(recipe: Recipe, run: RunDirectory, file: Path | None, verb: Verb) -> Plan:
    """The plan of the recipe read from `file`, once nothing is found that would stop the verb.

    Raises SapwoodError, which lists everything that would with its line: contradictions of the plan, and what is
    missing or does not work on this machine.
    """
    plan = make_plan(recipe, read_sizes(recipe, run))
    refuse([*plan_problems(plan), *preflight(recipe, run, verb)], file)
    return plan


def plan_problems(plan: Plan) -> list[Problem]:
    """What the plan refuses."""
    return [Problem(place, message) for place, message in plan.refusals]
