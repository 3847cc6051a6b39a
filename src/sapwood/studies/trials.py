"""The trials of a study: every arm with every seed, at every size, each a run of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import fingerprint
from sapwood.pipeline.handle import Run, load_recipe, written
from sapwood.recipe import Recipe
from sapwood.recipe.load import fixed
from sapwood.studies.directory import StudyDirectory, TrialResult
from sapwood.studies.study import Study

SHARED = ("model", "tokenizer", "sequence_length", "sources", "corpus", "holdout", "evaluation")
"""The parts of a recipe that decide documents, tokens and what is measured: arms that agree in them share these."""


@dataclass(frozen=True)
class Arm:
    """A variant of the recipe."""

    name: str
    fields: Mapping[str, Any]
    """In which it differs, by dotted path."""
    seeds: tuple[int, ...]
    size: str = ""
    """Of the model; empty where there is one."""
    file: Path = field(default=Path())
    """The recipe that it is a variant of."""
    drawn: bool = False
    """Whether its mixture was drawn at random: laws are fitted to it, and no conclusion is about it."""
    waits: bool = False
    """Whether its fields follow from trials that are still to be run; they stand for as many tokens until then."""

    @property
    def label(self) -> str:
        """The arm with its size, in the names of trials."""
        return f"{self.size}.{self.name}" if self.size else self.name

    def trials(self) -> Iterator[Trial]:
        """One for every seed."""
        for seed in self.seeds:
            yield Trial(self, seed)

    def recipe(self, seed: int) -> Recipe:
        """The recipe of a trial. Raises SapwoodError, with all mistakes."""
        return load_recipe(self.file, self.overrides(seed))

    def overrides(self, seed: int) -> list[str]:
        """The fields that a trial sets, as on the command line."""
        return written({**self.fields, "seed": seed, "name": f"{self.label}.seed-{seed}"})


@dataclass(frozen=True)
class Trial:
    """An arm with a seed."""

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """What its run is called."""
        return f"{self.arm.label}.seed-{self.seed}"

    @cached_property
    def recipe(self) -> Recipe:
        """Its recipe."""
        return self.arm.recipe(self.seed)

    @cached_property
    def fingerprint(self) -> str:
        """Of all that decides its outcome."""
        return fingerprint(fixed(self.recipe))

    @cached_property
    def shares_with(self) -> str:
        """The fingerprint of what it shares with others: the same documents, tokens and measurements."""
        parts = self.recipe.model_dump(mode="json", include=set(SHARED))
        made = any(source.programs or source.synthesis for source in self.recipe.sources.values())
        return fingerprint([parts, self.seed if made else None])

    def run(self, directory: StudyDirectory) -> Run:
        """Its run."""
        return Run(self.recipe, directory.trial(self.name), self.arm.file)

    def result(self, directory: StudyDirectory) -> TrialResult | None:
        """How it ended; None where it did not. Raises SapwoodError where its arm was changed since."""
        found = directory.result(self.name)
        if found is not None and found.finished and found.recipe != self.fingerprint:
            raise SapwoodError(
                f"Arm '{self.arm.label}' was changed after it was run with seed {self.seed}: what {directory.root} "
                "holds of it answers another question. Give the changed arm another name, or the study."
            )
        return found


def arms_of(study: Study) -> list[Arm]:
    """The arms that the file names, at every size."""
    return [
        Arm(name, fields, tuple(study.seeds), size, Path(recipe))
        for size, recipe in study.recipes.items()
        for name, fields in study.arms.items()
    ]


def by_seed(arms: Sequence[Arm]) -> list[Trial]:
    """All trials, seed by seed: whenever a study is stopped, its arms have about as many seeds."""
    trials = [trial for arm in arms for trial in arm.trials()]
    places = {trial.name: trial.arm.seeds.index(trial.seed) for trial in trials}
    return sorted(trials, key=lambda trial: places[trial.name])
