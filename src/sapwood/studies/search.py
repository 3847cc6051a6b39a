"""A mixture search: mixtures drawn around the natural one, a law of the losses they end in, and the one that is best.

Beside the drawn ones stand the natural, the uniform and UniMax mixtures: no search is worth more than it beats these
by (Aioli, arXiv 2411.05735; UtiliMax, arXiv 2501.11747). The mixture that is solved for is run like every other arm;
what the laws said of it before is the forecast that this run checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sapwood.errors import SapwoodError
from sapwood.evaluation.result import ADAPTED
from sapwood.files import fingerprint, read_json, write_json
from sapwood.mixture.domains import domains_of
from sapwood.mixture.open import read_sizes
from sapwood.mixture.plan import make_plan
from sapwood.mixture.solution import Goal
from sapwood.mixture.solve import RESAMPLES, repetition_caps, solve
from sapwood.mixture.swarm import LOSS, SHARE, Swarm, make_swarm
from sapwood.mixture.weights import whole
from sapwood.recipe import Recipe
from sapwood.recipe.check import members
from sapwood.recipe.mixture import Rule
from sapwood.studies.directory import StudyDirectory
from sapwood.studies.primary import Primary
from sapwood.studies.study import Draw, Study
from sapwood.studies.trials import Arm, Trial, arms_of

SOLVED = "solved"
PARTS = 10_000
"""Shares are whole multiples of one over this."""


def all_arms(study: Study, directory: StudyDirectory) -> list[Arm]:
    """The arms that the file names and, of a mixture search, those that follow from it as far as they are known.

    Before the documents are prepared the natural mixture is not known: drawn arms are then as many as they will be,
    around equal shares, which is enough to plan with.
    """
    arms = arms_of(study)
    if study.draw is None:
        return arms
    taken = set(study.arms)
    [(_, file)] = study.recipes.items()
    sizes = _natural(study, study.draw, directory)
    seeds = tuple(study.seeds)
    for rule in get_args(Rule):
        if rule not in taken:
            arms.append(Arm(rule, {study.draw.shares: rule}, seeds, file=Path(file)))
    for number, shares in enumerate(_draws(study.draw, sizes), 1):
        arms.append(Arm(f"drawn-{number:02d}", {study.draw.shares: shares}, seeds[:1], file=Path(file), drawn=True))
    waits = not directory.solution.exists()
    best = "natural" if waits else _solved(study, directory)
    arms.append(Arm(SOLVED, {study.draw.shares: best}, seeds, file=Path(file), waits=waits))
    return arms


def _natural(study: Study, draw: Draw, directory: StudyDirectory) -> dict[str, int]:
    """Tokens by the names whose shares are drawn; equal ones where not all are known."""
    trial = Trial(arms_of(study)[0], study.seeds[0])
    recipe = trial.recipe
    names = drawn_names(recipe, draw)
    found = dict.fromkeys(names, 0)
    for domain in domains_of(recipe, read_sizes(recipe, directory.shared(trial.shares_with))):
        for name in {domain.group, domain.source} & set(names):
            if domain.tokens is None:
                return dict.fromkeys(names, 1)
            found[name] += domain.tokens
    return found


def drawn_names(recipe: Recipe, draw: Draw) -> list[str]:
    """The groups, or the sources of a group, whose shares are drawn. Raises SapwoodError where there are none."""
    first, *rest = draw.shares.split(".")
    names: list[str] = []
    if first == "stages" and len(rest) == 2 and rest[1] == "mixture":
        names = list(recipe.groups)
    elif first == "groups" and len(rest) == 1 and rest[0] in recipe.groups:
        names = members(recipe, rest[0])
    if len(names) < 2:
        raise SapwoodError(
            f"draw.shares: '{draw.shares}' are no shares of two or more. Write `stages.0.mixture`, or `groups.NAME`."
        )
    return names


def _draws(draw: Draw, tokens: Mapping[str, int]) -> list[dict[str, float]]:
    """Dirichlet with the mean at the natural shares."""
    total = sum(tokens.values())
    natural = np.array([max(count, 1) / total for count in tokens.values()])
    rng = np.random.default_rng(draw.seed)
    found = rng.dirichlet(natural * len(natural) / draw.spread, draw.arms)
    return [_rounded(dict(zip(tokens, map(float, row), strict=True))) for row in found]


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    exact = {name: Fraction(share) for name, share in shares.items()}
    total = sum(exact.values())
    return {n: c / PARTS for n, c in whole({n: Fraction(e, total) for n, e in exact.items()}, PARTS).items()}


def _solved(study: Study, directory: StudyDirectory) -> dict[str, float]:
    record = read_json(directory.solution, f"Remove {directory.solution}: `sapwood study run` solves again.")
    if study.draw is None or record["draw"] != fingerprint(study.draw.model_dump(mode="json")):
        raise SapwoodError(
            f"The mixture in {directory.solution} was solved for with other settings under `draw`. Put them back, or "
            "give the study another name."
        )
    return _rounded({domain["name"]: domain["share"] for domain in record["domains"]})


def shares_of(trial: Trial, draw: Draw, directory: StudyDirectory) -> dict[str, float]:
    """The shares, as they were trained on, of the names that are drawn."""
    recipe = trial.recipe
    names = drawn_names(recipe, draw)
    plan = make_plan(recipe, read_sizes(recipe, directory.shared(trial.shares_with)))
    parts = draw.shares.split(".")
    stages = [plan.stages[int(parts[1])]] if parts[0] == "stages" else plan.stages
    level = 0 if parts[0] == "stages" else 1
    found = {name: float(stages[0].mixture.totals(level).get(name, 0)) for name in names}
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def solve_study(
    study: Study, directory: StudyDirectory, primaries: Sequence[Primary], *, resamples: int = RESAMPLES
) -> None:
    """Fits laws to the mixtures that were run, solves for the best one, and writes it down with all that is known.

    Raises SapwoodError where too few were run, and where cvxpy is not installed.
    """
    assert study.draw is not None
    draw = study.draw
    swarm = make_swarm(_rows(study, directory, primaries), f"study '{study.name}'")
    tokens = _natural(study, draw, directory)
    natural = np.array([tokens[name] / sum(tokens.values()) for name in swarm.domains])
    weights = np.array([draw.weights.get(primary.name, 1.0) for primary in primaries])
    budget = _budget(study, draw, directory)
    caps = repetition_caps(tokens, budget, swarm.domains, draw.max_epochs)
    solution = solve(
        swarm, Goal(weights / weights.sum(), natural, draw.pull, caps), seed=draw.seed, resamples=resamples
    )
    forecasts = {p.name: _forecast(swarm, solution, number, draw.seed) for number, p in enumerate(primaries)}
    record = {**solution.to_json(draw.seed), "forecasts": forecasts}
    write_json(directory.solution, {**record, "draw": fingerprint(draw.model_dump(mode="json"))}, sealed=True)


def _rows(study: Study, directory: StudyDirectory, primaries: Sequence[Primary]) -> list[tuple[str, dict[str, object]]]:
    """A row for every finished trial of a mixture that was drawn or follows from a rule."""
    assert study.draw is not None
    rows = []
    for arm in all_arms(study, directory):
        if arm.name == SOLVED or set(arm.fields) != {study.draw.shares}:
            continue
        for trial in arm.trials():
            result = trial.result(directory)
            if result is None or not result.finished:
                continue
            shares = shares_of(trial, study.draw, directory)
            row: dict[str, object] = {f"{SHARE}{name}": share for name, share in shares.items()}
            for primary in primaries:
                level = primary.level(directory.trial(trial.name), ADAPTED)
                # A law is of a loss: what is not right, of a score.
                row[f"{LOSS}{primary.name}"] = 1 - level if primary.metric.higher_is_better else level
            rows.append((trial.name, row))
    return rows


def _budget(study: Study, draw: Draw, directory: StudyDirectory) -> int:
    """Tokens that are divided by the shares: of the stage, or of the group in all stages."""
    trial = Trial(arms_of(study)[0], study.seeds[0])
    plan = make_plan(trial.recipe, read_sizes(trial.recipe, directory.shared(trial.shares_with)))
    parts = draw.shares.split(".")
    if parts[0] == "stages":
        return trial.recipe.stages[int(parts[1])].tokens
    return max(1, sum(part.tokens for part in plan.domains if part.domain.group == parts[1]))


def _forecast(swarm: Swarm, solution: Any, metric: int, seed: int) -> dict[str, float]:
    """What a single run of the solved mixture should measure, with a 95% predictive interval.

    To the spread of the mean, by laws fitted to resampled rows, comes that of single runs around the law: residuals
    drawn with replacement, widened by sqrt(n / (n - parameters)) for the parameters that the fit spent.
    """
    rng = np.random.default_rng(seed)
    rows, parameters = len(swarm.mixtures), len(swarm.domains) + 1
    residuals = swarm.losses[:, metric] - solution.laws[metric].predict(swarm.mixtures)
    widened = residuals * np.sqrt(rows / max(1, rows - parameters))
    draws = solution.chosen.draws[:, metric]
    low, high = np.quantile(np.add.outer(draws, rng.choice(widened, 50)).ravel(), (0.025, 0.975))
    return {"loss": float(solution.chosen.losses[metric]), "low": float(low), "high": float(high)}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the laws said of a metric before the solved mixture was run, and what was measured."""

    primary: Primary
    loss: float
    interval: tuple[float, float]
    """Of a single run, with 95%."""
    measured: tuple[float, ...]
    """By seed; empty before it was run."""

    @property
    def inside(self) -> int:
        """How many of the runs lie in the interval."""
        return sum(self.interval[0] <= value <= self.interval[1] for value in self.measured)

    @property
    def sentence(self) -> str:
        """What came of it."""
        low, high = self.interval
        found = f"{self.primary.name}, '{SOLVED}': a loss of {self.loss:.4f} was forecast ({low:.4f} to {high:.4f})"
        if not self.measured:
            return f"{found}; it was not run yet."
        mean = sum(self.measured) / len(self.measured)
        return f"{found}, {mean:.4f} measured; {self.inside} of {len(self.measured)} runs lie in the interval."


def forecasts(study: Study, directory: StudyDirectory, primaries: Sequence[Primary]) -> list[Forecast]:
    """What was said of the solved mixture, and what came of it; none where nothing is solved."""
    if study.draw is None or not directory.solution.exists():
        return []
    record = read_json(directory.solution)["forecasts"]
    [arm] = [arm for arm in all_arms(study, directory) if arm.name == SOLVED]
    done = [t for t in arm.trials() if (result := t.result(directory)) is not None and result.finished]
    found = []
    for primary in primaries:
        levels = [primary.level(directory.trial(trial.name), ADAPTED) for trial in done]
        losses = tuple(1 - level if primary.metric.higher_is_better else level for level in levels)
        said = record[primary.name]
        found.append(Forecast(primary, said["loss"], (said["low"], said["high"]), losses))
    return found
