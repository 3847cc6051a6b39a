"""What a study means in numbers, checked before it costs anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sapwood.errors import SapwoodError
from sapwood.mixture.decided import RUNS
from sapwood.mixture.open import read_sizes
from sapwood.mixture.plan import make_plan
from sapwood.pipeline.checks import listed, refuse
from sapwood.pipeline.preflight import plan_problems, preflight
from sapwood.recipe.units import show_tokens
from sapwood.report.wording import listed as names_listed
from sapwood.statistics.power import Design
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.primary import Primary, primaries_of
from sapwood.studies.search import all_arms
from sapwood.studies.study import Study, load_study
from sapwood.studies.trials import Arm, Trial, by_seed


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """An arm in numbers."""

    arm: Arm
    tokens: int
    """Of each of its trials."""
    done: int
    """Trials that are finished."""
    failed: int


@dataclass(frozen=True, slots=True)
class Detectable:
    """What the design can show in a metric."""

    metric: str
    deviation: float | None
    """The standard deviation, between seeds, of the difference of two arms; None where it is not known."""
    units: float
    """The smallest effect in such deviations: found in four of five studies, at the first step of Holm's procedure."""

    @property
    def effect(self) -> float | None:
        """The smallest effect; None where the deviation is not known."""
        return None if self.deviation is None else self.units * self.deviation


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study in numbers."""

    study: Study
    directory: StudyDirectory
    arms: tuple[PlannedArm, ...]
    trials: int
    done: int
    """Trials that are finished."""
    tokens: int
    """Of all trials, finished ones among them."""
    hours: float | None
    """Of all trials, by the speed of those that are finished; None before the first."""
    spent: float
    """Hours that trials took so far."""
    primaries: tuple[Primary, ...]
    detectable: tuple[Detectable, ...]
    waiting: tuple[str, ...]
    """What is not here yet and is needed to run it: files, a model."""

    def __str__(self) -> str:
        """The arms with tokens and trials, the cost against the budget, and what the design can show."""
        names = [planned.arm.label for planned in self.arms]
        width = max(map(len, names))
        lines = [f"{len(names)} arms, {self.trials} trials, {show_tokens(self.tokens)} tokens"]
        for name, planned in zip(names, self.arms, strict=True):
            failed = f", {planned.failed} failed" if planned.failed else ""
            lines.append(
                f"{name.ljust(width)}  {len(planned.arm.seeds)} × {show_tokens(planned.tokens)} tokens, "
                f"{planned.done} done{failed}"
            )
        return "\n".join([*lines, self.cost, *self.effects])

    @property
    def effects(self) -> list[str]:
        """What the design can show, in sentences."""
        units = self.detectable[0].units
        if math.isinf(units):
            return ["One seed shows no difference, however large: it says nothing of other seeds."]
        known = [found for found in self.detectable if found.effect is not None]
        unknown = [f"'{found.metric}'" for found in self.detectable if found.effect is None]
        sentences = [f"The smallest effect that this design shows in '{f.metric}' is {f.effect:.4f}." for f in known]
        if unknown:
            sentences.append(
                f"The smallest effect that this design shows in {names_listed(unknown)} is {units:.1f} times the "
                "standard deviation, between seeds, of the difference of two arms, which is not known yet: give it "
                "under `noise`, or run the first seeds."
            )
        return sentences

    @property
    def cost(self) -> str:
        """Tokens and hours against the budget, in a sentence."""
        budget = self.study.budget
        tokens = f"{show_tokens(self.tokens)} tokens" + (
            "" if budget.tokens is None else f" of {show_tokens(budget.tokens)}"
        )
        if self.hours is None:
            limit = "" if budget.hours is None else f", of {budget.hours:g} at most,"
            return f"Cost: {tokens}; hours{limit} are known after the first trial."
        limit = "" if budget.hours is None else f" of {budget.hours:g} at most"
        return f"Cost: {tokens}; about {self.hours:.2g} hours{limit}, {self.spent:.2g} spent."


def plan_study(study: Study | str | Path, runs: str | Path = RUNS) -> StudyPlan:
    """What a study will run and what that can show. Printed, it is a table. Costs and changes nothing.

    Raises SapwoodError, which names the arm and the line of everything that will stop it: mistakes in the file,
    problems of any arm's recipe, a metric that is not measured, more tokens than the budget allows.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    directory = StudyDirectory(Path(runs) / loaded.name)
    return planned(loaded, directory, all_arms(loaded, directory))


def planned(
    study: Study, directory: StudyDirectory, arms: Sequence[Arm], verb: Literal["plan", "run"] = "plan"
) -> StudyPlan:
    """The plan of a study with these arms. Raises SapwoodError as `plan_study` does."""
    tokens, waiting = _tokens(arms, directory, verb)
    primaries = primaries_of(arms[0].recipe(arms[0].seeds[0]), study.primary)
    trials = by_seed(arms)
    results = {trial.name: trial.result(directory) for trial in trials}
    finished = [result for result in results.values() if result is not None and result.finished]
    rows = []
    for arm in arms:
        own = [results[trial.name] for trial in arm.trials()]
        done = sum(result is not None and result.finished for result in own)
        failed = sum(result is not None and not result.finished for result in own)
        rows.append(PlannedArm(arm, tokens[arm.label], done, failed))
    total = sum(row.tokens * len(row.arm.seeds) for row in rows)
    _refuse_beyond(study, total)
    pace = sum(result.seconds for result in finished) / sum(result.tokens for result in finished) if finished else None
    return StudyPlan(
        study=study,
        directory=directory,
        arms=tuple(rows),
        trials=len(trials),
        done=len(finished),
        tokens=total,
        hours=None if pace is None else pace * total / 3600,
        spent=sum(result.seconds for result in results.values() if result is not None) / 3600,
        primaries=tuple(primaries),
        detectable=tuple(detectable(study, study.noise, sum(not arm.drawn for arm in arms))),
        waiting=waiting,
    )


def detectable(study: Study, noise: Mapping[str, float], arms: int) -> list[Detectable]:
    """What the design can show with so many arms, by the noise of every primary metric that is known."""
    arms //= len(study.recipes)
    comparisons = max(1, (arms - 1) * len(study.primary))
    significance = (1 - study.confidence) / comparisons
    count = len(study.seeds)
    units = Design(deviation=1.0, significance=significance).smallest_effect(count) if count > 1 else math.inf
    return [Detectable(name, noise.get(name), units) for name in study.primary]


def _tokens(
    arms: Iterable[Arm], directory: StudyDirectory, verb: Literal["plan", "run"]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Tokens of a trial of every arm, once nothing is found that will stop any; and what is not here yet."""
    found: dict[str, int] = {}
    wrong: dict[str, list[str]] = {}
    waiting: dict[str, None] = {}
    for arm in arms:
        trial = Trial(arm, arm.seeds[0])
        try:
            shared = directory.shared(trial.shares_with)
            plan = make_plan(trial.recipe, read_sizes(trial.recipe, shared))
            problems = [*plan_problems(plan), *preflight(trial.recipe, shared, verb)]
            waits = [problem for problem in problems if problem.waits and verb == "plan"]
            waiting |= dict.fromkeys(listed(waits, arm.file))
            refuse([problem for problem in problems if problem not in waits], arm.file)
            found[arm.label] = plan.tokens
        except SapwoodError as error:
            for line in str(error).splitlines():
                wrong.setdefault(line, []).append(arm.label)
    if wrong:
        raise SapwoodError("\n".join(f"{_arms(labels)}: {line}" for line, labels in wrong.items()))
    return found, tuple(waiting)


def _arms(labels: Sequence[str]) -> str:
    names = ", ".join(f"'{label}'" for label in labels)
    return f"arm {names}" if len(labels) == 1 else f"arms {names}"


def _refuse_beyond(study: Study, tokens: int) -> None:
    if study.budget.tokens is not None and tokens > study.budget.tokens:
        raise SapwoodError(
            f"Study '{study.name}' plans {show_tokens(tokens)} tokens, and its budget is "
            f"{show_tokens(study.budget.tokens)}: take fewer arms, seeds or tokens, or raise `budget.tokens`."
        )
