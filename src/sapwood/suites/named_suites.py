"""The suites that a recipe names. What is wrong with them is found before anything is trained. Needs no model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite, load_suite
from sapwood.suites.question import put_questions
from sapwood.suites.task_item import load_task_items


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
