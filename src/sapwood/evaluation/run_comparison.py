"""The models of a run against its base model, on the benchmarks that they answered. Needs no model."""

from __future__ import annotations

from pathlib import Path

from sapwood.evaluation.comparison import Comparison, Results, compare
from sapwood.evaluation.overlap import read_overlap
from sapwood.evaluation.result import BASE
from sapwood.recipe import Recipe
from sapwood.recipe.suite import load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.suites.item_result import SUMMARY, read_task_result


def read_results(directory: Path) -> Results:
    """What a model made of the tasks whose results lie in a directory; none where it is not there."""
    return {path.parent.name: read_task_result(path.parent) for path in sorted(directory.glob(f"*/{SUMMARY}"))}


def compare_run(recipe: Recipe, run: RunDirectory) -> list[Comparison]:
    """Every model of a run against its base model, suite by suite, those of checkpoints before the adapted model.

    Where the items are known that stand in what the run was trained on, all its models are compared without them too.

    Raises SapwoodError where results of one suite are not answers to the same questions.
    """
    found = []
    for reference in recipe.evaluation.suites:
        suite = load_suite(reference)
        seen = read_overlap(run.overlap(suite.name))
        overlap = None if seen is None else seen.items
        before = read_results(run.suite(suite.name, BASE))
        labels = [path.name for path in run.suite(suite.name, BASE).parent.glob("*") if path.name != BASE]
        for label in sorted(labels, key=lambda label: (not label.startswith("step-"), label)):
            after = read_results(run.suite(suite.name, label))
            if before and after:
                level = recipe.evaluation.confidence
                found.append(compare(suite, before, [after], model=label, confidence=level, overlap=overlap))
    return found
