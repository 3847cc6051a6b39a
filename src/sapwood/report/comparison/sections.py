"""What each section of a comparison of runs shows, made ready for its template. Runs go by what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sapwood.evaluation.comparison import ComparedTask
from sapwood.evaluation.result import Evaluation
from sapwood.recipe.check import members
from sapwood.recipe.load import leaves
from sapwood.recipe.schema import Gain, Recipe, Retention
from sapwood.report import plots
from sapwood.report.axes import Figure
from sapwood.report.cost import Cost, costs
from sapwood.report.run_view import RunView
from sapwood.report.verdict import SIGNS, find, find_between, lead, tally
from sapwood.report.wording import confidence, listed, published, without_places
from sapwood.statistics.change import Aim, Change

Runs = Mapping[str, RunView]


@dataclass(frozen=True, slots=True)
class Demand:
    """One ability in all runs that judge it."""

    aim: Aim
    name: str
    changes: Mapping[str, Change]
    """By run."""
    figure: Figure


@dataclass(frozen=True, slots=True)
class Other:
    """The model of a run against that of the first."""

    run: str
    changes: Sequence[Change]
    problem: str
    """Why there are none."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """How far a run is and what it took."""

    run: str
    planned: int | None
    trained: int
    cost: Cost | None
    """None where nothing was trained."""
    memory: int | None
    """The most bytes of a step."""
    device: str


def verdicts_section(runs: Runs) -> dict[str, Any]:
    """Every run's verdict, and each ability in all of them."""
    found = {run: find(facts) for run, facts in runs.items()}
    return {
        "leads": [
            (run, lead(changes, runs[run].benchmarks) or problem or "There is no verdict yet.", _met(changes))
            for run, (changes, problem) in found.items()
        ],
        "demands": _demands(runs, {run: changes for run, (changes, _) in found.items()}),
        "signs": SIGNS,
        "margins": _stated({run: f"{facts.recipe.evaluation.retention.margin:g}" for run, facts in runs.items()}),
        "confidences": _stated({run: confidence(facts.recipe.evaluation.confidence) for run, facts in runs.items()}),
        "backbones": _backbones(runs),
    }


def against_section(runs: Runs) -> dict[str, Any]:
    """The models of the other runs against that of the first, on the same held-out documents."""
    (name, first), *others = runs.items()
    return {
        "first": name,
        "confidence": first.recipe.evaluation.confidence,
        "others": [_against(name, first, run, facts) for run, facts in others],
    }


def benchmarks_section(runs: Runs) -> dict[str, Any]:
    """By suite and task, what became of it in every run."""
    suites: dict[str, dict[str, dict[str, ComparedTask]]] = {}
    problems = []
    for run, facts in runs.items():
        if facts.unread:
            problems.append((run, facts.unread))
        for comparison in facts.benchmarks:
            for name, task in comparison.tasks.items():
                suites.setdefault(comparison.suite, {}).setdefault(name, {})[run] = task
    return {"suites": suites, "problems": problems, "signs": SIGNS}


def recipes_section(runs: Runs) -> dict[str, Any]:
    """The fields in which the recipes differ, and what each has there."""
    recipes = {run: leaves(facts.recipe) for run, facts in runs.items()}
    paths = dict.fromkeys(path for fields in recipes.values() for path in fields)
    rows = [(path, [fields.get(path) for fields in recipes.values()]) for path in paths if path != "name"]
    return {
        "rows": [
            (path, [_written(without_places(value)) for value in values])
            for path, values in rows
            if any((value or None) != (values[0] or None) for value in values)
        ]
    }


def costs_section(runs: Runs) -> dict[str, Any]:
    """How far every run is, and what that took."""
    return {
        "rows": [
            Tokens(
                run=run,
                planned=facts.plan.tokens if facts.plan else None,
                trained=facts.trained_tokens,
                cost=costs(facts)[-1] if facts.steps else None,
                memory=max((step.memory_bytes for step in facts.steps), default=None),
                device=str(facts.environment.get("device", "")),
            )
            for run, facts in runs.items()
        ]
    }


def _backbones(runs: Runs) -> list[tuple[str, str]]:
    """Which model every run began from, where they are not the same one: its name, and the print of its weights."""
    prints = {run: facts.base.model if facts.base else "" for run, facts in runs.items()}
    names = {run: facts.recipe.model for run, facts in runs.items()}
    if len(set(filter(None, prints.values()))) < 2 and (len(set(names.values())) == 1 or all(prints.values())):
        return []
    return [
        (run, f"{published(names[run])} ({prints[run][:8]})" if prints[run] else published(names[run])) for run in runs
    ]


def _stated(values: Mapping[str, str]) -> str:
    """A value, or which runs have which."""
    runs = {value: [run for run, other in values.items() if other == value] for value in values.values()}
    if len(runs) == 1:
        return next(iter(runs))
    return listed([f"{value} in {listed(names)}" for value, names in runs.items()])


def _met(changes: Sequence[Change]) -> str:
    return tally(changes) if changes else ""


def _demands(runs: Runs, found: Mapping[str, Sequence[Change]]) -> list[Demand]:
    demands = []
    for aim, name in dict.fromkeys((change.aim, change.name) for part in found.values() for change in part):
        assert aim is not None, "what a recipe names has an aim"
        judged = {
            run: change for run, part in found.items() for change in part if (change.aim, change.name) == (aim, name)
        }
        margins = {runs[run].recipe.evaluation.retention.margin for run in judged}
        figure = plots.forest(
            [replace(change, name=run) for run, change in judged.items()],
            margins.pop() if aim == "retention" and len(margins) == 1 else None,
        )
        demands.append(Demand(aim, name, judged, figure))
    return demands


def _against(name: str, first: RunView, run: str, facts: RunView) -> Other:
    models = [
        replace(model, label=label) for label, model in ((name, first.model), (run, facts.model)) if model is not None
    ]
    if len(models) < 2:
        return Other(run, (), "Both models have to be measured first: `sapwood evaluate` does it.")
    before, after = models
    changes, problem = find_between(_measured_in(first.recipe, before, after), before, after)
    return Other(run, changes, problem if changes or problem else "No ability was measured of both.")


def _measured_in(recipe: Recipe, *evaluations: Evaluation) -> Recipe:
    """The recipe with only those demands of which all evaluations have documents."""
    scored = [{name for name, score in item.domains.items() if score.documents} for item in evaluations]

    def shared(demands: Gain | Retention) -> Gain | Retention:
        kept = [name for name in demands.domains if all(part.issuperset(members(recipe, name)) for part in scored)]
        return demands.model_copy(update={"domains": kept})

    evaluation = recipe.evaluation
    update = {"gain": shared(evaluation.gain), "retention": shared(evaluation.retention)}
    return recipe.model_copy(update={"evaluation": evaluation.model_copy(update=update)})


def _written(value: Any) -> str:
    """A value of a recipe; a dash for none."""
    return "–" if value is None else value if isinstance(value, str) and value.strip() else orjson.dumps(value).decode()
