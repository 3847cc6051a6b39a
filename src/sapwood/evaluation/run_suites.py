"""The benchmarks of a run: the suites that its recipe names, put to its models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite
from sapwood.runs.directory import RunDirectory
from sapwood.sandbox.execute import Sandbox
from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator
from sapwood.suites.suite import items_directory, named_suites, run_suite


@dataclass(frozen=True, slots=True)
class RunSuites:
    """The suites of a run, ready to be put to its models."""

    suites: tuple[Suite, ...]
    items: Path | None
    """The directory with the files of the benchmarks."""
    run: RunDirectory
    sandbox: Sandbox | None
    """Where programs run that a model writes; None where none must."""

    @staticmethod
    def open(recipe: Recipe, run: RunDirectory, only: Collection[str] | None = None) -> RunSuites:
        """The recipe's suites, or `only` some of them. Raises SapwoodError where one is wrong or lacks files, or there
        is no sandbox and one is needed."""
        suites = named_suites(recipe, only)
        return RunSuites(suites, items_directory(recipe), run, find_sandbox(suites))

    def measure(self, model: EvaluatedModel, *, label: str, weights: str) -> dict[str, float]:
        """Puts all suites to a model, but for what it was asked before. On several ranks this is a collective.

        Gives the metric that is reported of every task, by `suite/task`; on the first rank alone.
        """
        values: dict[str, float | None] = {}
        for suite in self.suites:
            place = self.run.suite(suite.name, label)
            found = run_suite(TorchEvaluator(model), suite, self.items, place, weights=weights, sandbox=self.sandbox)
            values |= {f"{suite.name}/{task}": result.value for task, result in found.items()}
        return {name: value for name, value in values.items() if value is not None}


def find_sandbox(suites: Iterable[Suite]) -> Sandbox | None:
    """The sandbox, where a task has the model write programs. Raises SapwoodError where this machine has none."""
    tasks = [task for suite in suites for task in suite.tasks.values()]
    return Sandbox.find() if any(task.kind == "code" and task.generates for task in tasks) else None
