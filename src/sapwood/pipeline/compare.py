"""Models against the one they were adapted from, on the benchmarks of a suite."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sapwood.errors import SapwoodError, closest
from sapwood.evaluation.comparison import Comparison, Results
from sapwood.evaluation.comparison import compare as compare_results
from sapwood.evaluation.run_comparison import read_results
from sapwood.pipeline.handle import labels, writing
from sapwood.recipe import load_recipe
from sapwood.recipe.schema import TokenizerSettings
from sapwood.recipe.suite import Suite, load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.suites.harness_log import read_harness_log
from sapwood.suites.task_scores import TaskLevel, level_of

Backend = Literal["torch", "hf", "vllm"]
"""Who asks the models."""


@dataclass(frozen=True, slots=True)
class ComparedModels:
    """Models on a suite, the first of them the one that the others are compared with."""

    suite: str
    base: str
    """The label of the first model."""
    levels: Mapping[str, tuple[str, TaskLevel]]
    """What the first model makes of every task: the metric that is reported, and its level."""
    comparisons: tuple[Comparison, ...]
    """One for each other model, or one for all of them as seeds."""

    @property
    def failures(self) -> list[Comparison]:
        """Those with a gate of the suite that fails."""
        return [comparison for comparison in self.comparisons if comparison.failures]


def compare(
    models: Sequence[str],
    suite: str,
    *,
    items: Path | None = None,
    tasks: Sequence[str] = (),
    output: str | Path = "evaluations",
    seeds: bool = False,
    confidence: float = 0.95,
    backend: Backend = "torch",
) -> ComparedModels | None:
    """Compares models on benchmarks: what was gained, what was kept, and how sure that is.

    `models` are directories, names on the Hugging Face hub, GGUF files, runs, directories of results, or sample logs of
    lm-evaluation-harness; the first is what the others are compared with. `suite` comes with Sapwood (paper, small,
    retention) or is a file; `tasks` are those of it to look at, all if none. `items` is the directory with the files of
    the benchmarks. The results of every item are kept in `output`, and what is there is not measured again. With
    `seeds`, the models differ in their seed alone and are judged together. On several ranks only the first has the
    results; the others get None.

    Raises SapwoodError where models cannot be compared: texts begin otherwise, or results answer other questions.
    """
    chosen = _only(load_suite(suite), tasks)
    named, tokens = labels(models), _tokens(models)
    found = {
        label: _results(model, chosen, items, Path(output) / chosen.name / label, backend, tokens)
        for label, model in named.items()
    }
    if int(os.environ.get("RANK", "0")) > 0:
        return None
    (base, before), *others = found.items()
    groups = {label: [results] for label, results in others}
    if seeds and others:
        groups = {", ".join(groups): [results for _, results in others]}
    return ComparedModels(
        suite=chosen.name,
        base=base,
        levels={name: (result.metric, level_of(result, chosen.tasks[name])) for name, result in before.items()},
        comparisons=tuple(
            compare_results(chosen, before, results, model=f"{base} → {label}", confidence=confidence)
            for label, results in groups.items()
        ),
    )


def _only(suite: Suite, tasks: Sequence[str]) -> Suite:
    """The suite with some of its tasks; all, where none is named."""
    for name in tasks:
        if name not in suite.tasks:
            raise SapwoodError(f"There is no task '{name}' in the suite '{suite.name}'. {closest(name, suite.tasks)}")
    return replace(suite, tasks={name: task for name, task in suite.tasks.items() if not tasks or name in tasks})


def _tokens(models: Sequence[str]) -> TokenizerSettings:
    """How texts begin and end, for all models alike: as the recipes of those that are runs say.

    Raises SapwoodError where two of them say otherwise.
    """
    runs = [RunDirectory(Path(model)) for model in models]
    said = {run.root: load_recipe(run.recipe).tokenizer for run in runs if run.model.is_dir() and run.recipe.exists()}
    (first, tokens), *others = said.items() or [(Path(), TokenizerSettings())]
    for other, settings in others:
        if settings != tokens:
            raise SapwoodError(
                f"Texts begin and end otherwise in {other} ({_written(settings)}) than in {first} "
                f"({_written(tokens)}), and models are compared on the same texts. Compare each with its own base."
            )
    return tokens


def _written(settings: TokenizerSettings) -> str:
    return f"tokenizer: {{begin: {settings.begin}, end: {settings.end}}}"


def _results(
    model: str,
    suite: Suite,
    items: Path | None,
    place: Path,
    backend: Backend,
    tokens: TokenizerSettings,
) -> Results:
    """What a model makes of the suite, or made of it where `model` is a directory of results."""
    if logged := read_harness_log(Path(model), suite):
        return logged
    kept = read_results(Path(model))
    if kept:
        found = {name: result for name, result in kept.items() if name in suite.tasks}
        if not found:
            raise SapwoodError(f"{model} has results of {', '.join(kept)}, and none of the suite '{suite.name}'.")
        return found
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
    from sapwood.evaluation.run_suites import find_sandbox
    from sapwood.suites.suite import check_items, run_suite

    check_items(suite, items)
    adapted = RunDirectory(Path(model)).model
    directory = resolve(str(adapted) if adapted.is_dir() else model, default_cache())
    weights, sandbox = fingerprint_model(directory), find_sandbox([suite])
    if backend == "torch":
        from sapwood.device.ranks import Ranks
        from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator

        Ranks.join()
        with writing(place):
            evaluator = TorchEvaluator(EvaluatedModel.open(directory, begin=tokens.begin, end=tokens.end))
            return run_suite(evaluator, suite, items, place, weights=weights, sandbox=sandbox)
    from sapwood.suites.harness import HarnessEvaluator

    with writing(place):
        harness = HarnessEvaluator.open(
            directory, place / "harness", backend=backend, begin=tokens.begin, end=tokens.end
        )
        return run_suite(harness, suite, items, place, weights=weights, sandbox=sandbox)
