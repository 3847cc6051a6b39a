"""What the user writes about a study: one YAML file, read and checked like a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sapwood.errors import closest
from sapwood.recipe.document import Problem, RecipeError, read_document
from sapwood.recipe.fields import Name, Strict, Tokens

MOST_SEEDS = 100


class Budget(Strict):
    """What the study may cost, all trials together."""

    tokens: Tokens | None = None
    """Tokens trained on. A study that plans more is refused."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of trials, each counted from its start to its end. No trial begins once they are spent."""


class Draw(Strict):
    """Arms with mixtures drawn at random, from which the best one is solved for (a mixture search)."""

    shares: str
    """Where the shares stand that are drawn: `stages.0.mixture`, `groups.zh`."""
    arms: Annotated[int, Field(ge=3)]
    """How many mixtures are drawn. A law has one parameter more than there are shares; three times that is better."""
    seed: int = 0
    """Decides the draws."""
    spread: Annotated[float, Field(gt=0)] = 1.0
    """How far draws lie from the natural shares: they are Dirichlet with natural shares × their number / `spread`."""
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    """How much each primary metric counts in what is solved for; 1 where nothing is said, 0 only watches it."""
    pull: Annotated[float, Field(ge=0)] = 0.05
    """What the solved mixture must save, in the unit of the loss, for each nat that it is away from the natural one."""
    max_epochs: Annotated[float, Field(gt=0)] = 4.0
    """How often the solved mixture may go through a domain."""


def _seeds(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"expected 1 to {MOST_SEEDS} seeds, or a list of them")
        return list(range(value))
    return value


def _fields_set(value: object) -> object:
    return {} if value is None else value


Overrides = Annotated[dict[str, Any], BeforeValidator(_fields_set)]
"""Fields of the recipe by dotted path, as on the command line: `{stages.0.mixture: {zh: 8, en: 2}}`."""


class Study(Strict):
    """A question, and the runs that answer it."""

    name: Name
    """What the study is called; it lies in `runs/NAME`."""
    question: str = ""
    """What it is to find out, for the report."""
    base: str | None = None
    """The recipe that all arms share, as a path from the study's file."""
    sizes: dict[Name, str] = {}
    """In place of `base`: recipes for models of several sizes, from the smallest to the largest, in which the same arms
    are tried."""
    arms: Annotated[dict[Name, Overrides], Field(min_length=1)]
    """The arms by name, each with the fields in which it differs from the recipe; `{}` is the recipe as it is."""
    reference: str | None = None
    """The arm that the others are compared with; the first where nothing is said."""
    seeds: Annotated[list[int], BeforeValidator(_seeds), Field(min_length=1)] = [0, 1, 2]
    """Seeds, or how many. Every arm is run with each; arms are compared seed by seed, on the same data order."""
    primary: Annotated[list[str], Field(min_length=1)]
    """What the study is judged by, declared before: groups or sources (held-out bits per byte), `SUITE/TASK`."""
    margin: Annotated[float, Field(gt=0)] = 0.01
    """The difference below which two arms count as equal, in bits per byte or of a score of 1."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence of all intervals; 1 less it is the chance that Holm's procedure leaves for any false finding."""
    noise: dict[str, Annotated[float, Field(gt=0)]] = {}
    """By primary: the standard deviation, between seeds, of the difference of two arms, known from a pilot."""
    budget: Budget = Budget()
    """What it may cost."""
    draw: Draw | None = None
    """Further arms with mixtures drawn at random, and one that is solved for."""

    @property
    def reference_arm(self) -> str:
        """The arm that the others are compared with."""
        return self.reference or next(iter(self.arms))

    @property
    def recipes(self) -> dict[str, str]:
        """The base recipes by size; one without a name where there are no sizes."""
        return dict(self.sizes) or {"": self.base or ""}


def load_study(path: str | Path) -> Study:
    """Reads and checks the study in `path`; file names in it are taken from its directory.

    Raises RecipeError, which lists every mistake with its line.
    """
    file = Path(path)
    if not file.is_file():
        raise RecipeError(f"There is no study {file}. docs/studies.md shows one, and studies/ holds several.")
    study = read_document(file, (), Study, _problems)
    here = file.parent.absolute()
    located: dict[str, object] = {"sizes": {size: _located(recipe, here) for size, recipe in study.sizes.items()}}
    if study.base is not None:
        located["base"] = _located(study.base, here)
    return study.model_copy(update=located)


def _located(recipe: str, here: Path) -> str:
    return os.path.normpath(here / os.path.expanduser(recipe))  # noqa: PTH111 - leaves names of unknown users alone


def _problems(study: Study) -> Iterator[Problem]:
    """What no single field can tell."""
    if (study.base is None) == (not study.sizes):
        yield (), "write one of `base: RECIPE` and `sizes: {NAME: RECIPE, …}`"
    if len(study.sizes) == 1:
        yield ("sizes",), "one size transfers to nothing: name two or more, from the smallest to the largest"
    if study.reference is not None and study.reference not in study.arms:
        yield ("reference",), f"there is no arm '{study.reference}'. {closest(study.reference, study.arms)}"
    if len(set(study.seeds)) < len(study.seeds):
        yield ("seeds",), "a seed is named twice: the second run would be the first again"
    if len(set(study.primary)) < len(study.primary):
        yield ("primary",), "something is named twice"
    for arm, fields in study.arms.items():
        for field in {"name", "seed"} & fields.keys():
            yield ("arms", arm, field), "the study sets it: every trial has a name and a seed of its own"
    for name in study.noise:
        if name not in study.primary:
            yield ("noise", name), f"it is not under `primary`. {closest(name, study.primary)}"
    if study.draw is not None:
        if study.sizes:
            yield ("draw",), "mixtures are searched at one size: write `base`"
        for name in study.draw.weights:
            if name not in study.primary:
                yield ("draw", "weights", name), f"it is not under `primary`. {closest(name, study.primary)}"
        if not any(study.draw.weights.get(name, 1) for name in study.primary):
            yield ("draw", "weights"), "every metric has 0: nothing counts"
