"""Everything that can be known before a run costs anything, looked at before it does: all problems in one list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sapwood.mixture.open import read_sizes
from sapwood.mixture.plan import Plan, make_plan
from sapwood.pipeline.corpus import check_corpus, check_labels
from sapwood.pipeline.machine import check_disk, check_hardware, check_packages
from sapwood.pipeline.model import check_model, check_other_models
from sapwood.pipeline.problem import Problem, refuse
from sapwood.pipeline.sources import check_sources
from sapwood.pipeline.suites import check_suites
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory

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
