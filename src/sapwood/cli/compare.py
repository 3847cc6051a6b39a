"""`sapwood compare`: models against the one they were grown from, on the benchmarks of a suite."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer

from sapwood.cli.comparison import print_comparison, print_levels
from sapwood.cli.output import Output
from sapwood.errors import SapwoodError, closest
from sapwood.evaluation.comparison import Results
from sapwood.evaluation.comparison import compare as compare_results
from sapwood.evaluation.run_comparison import read_results
from sapwood.pipeline.handle import labels
from sapwood.pipeline.locking import writing
from sapwood.progress import console as progress
from sapwood.recipe import load_recipe
from sapwood.recipe.schema import TokenizerSettings
from sapwood.recipe.suite import Suite, load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.suites.task_scores import level_of

FAILED = 3
"""The exit status where a gate fails."""
Backend = Literal["torch", "hf", "vllm"]
"""Who asks the models."""


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE [MODEL]...",
            help="Models (directories, names on the Hugging Face hub, GGUF files), runs, or directories of results. "
            "The first is what the others are compared with; alone, it is measured.",
        ),
    ],
    suite: Annotated[str, typer.Option(help="A suite that comes with Sapwood (paper, small, retention), or a file.")],
    items: Annotated[
        Path | None, typer.Option(help="The directory with the files of the benchmarks.", show_default=False)
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task of the suite. May be given several times.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Where the results of every item are kept; what is there is not measured again.")
    ] = Path("evaluations"),
    seeds: Annotated[
        bool, typer.Option("--seeds", help="The models differ in their training seed alone: judge them together.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of all intervals.")] = 0.95,
    backend: Annotated[
        Backend, typer.Option(help="Sapwood's own evaluator on torch, or lm-evaluation-harness with hf or vllm.")
    ] = "torch",
    harness_prompts: Annotated[
        bool, typer.Option("--harness-prompts", help="With hf and vllm: take the harness's own versions of the tasks.")
    ] = False,
    lines: Annotated[
        bool, typer.Option("--jsonl", help="Print a JSON line for each comparison, with all numbers.")
    ] = False,
) -> None:
    """Compare models on benchmarks: what was gained, what was kept, and how sure that is.

    Exits with 3 when a gate of the suite fails: a task under `retention` that is not shown to be kept within the
    margin, or one under `gain` that got worse. docs/comparing.md says what every number means.
    """
    chosen = _only(load_suite(suite), task)
    if harness_prompts and backend == "torch":
        raise SapwoodError("The harness's own versions of tasks need the harness: add --backend hf or --backend vllm.")
    named = labels(models)
    tokens = _tokens(models)
    found = {
        label: _results(model, chosen, items, output / chosen.name / label, backend, harness_prompts, tokens)
        for label, model in named.items()
    }
    if progress.quiet:
        return  # the first rank has the results
    console = Output()
    (base, before), *others = found.items()
    if not others:
        levels = {name: (result.counts, level_of(result, chosen.tasks[name])) for name, result in before.items()}
        print_levels(console, chosen.name, base, levels, confidence)
        return
    groups = (
        {", ".join(label for label, _ in others): [results for _, results in others]}
        if seeds
        else {label: [results] for label, results in others}
    )
    comparisons = [
        compare_results(chosen, before, results, model=f"{base} → {label}", confidence=confidence)
        for label, results in groups.items()
    ]
    for comparison in comparisons:
        if lines:
            typer.echo(orjson.dumps(asdict(comparison), option=orjson.OPT_SERIALIZE_NUMPY))
        else:
            print_comparison(console, comparison)
    failed = [comparison for comparison in comparisons if comparison.failures]
    for comparison in failed:
        tasks = ", ".join(f"{task.task} ({task.verdict})" for task in comparison.failures)
        progress.print(f"Gates that fail, {comparison.model}: {tasks}.", style="red")
    if failed:
        sys.exit(FAILED)


def _only(suite: Suite, tasks: list[str] | None) -> Suite:
    """The suite with some of its tasks; all, where none is named."""
    for name in tasks or ():
        if name not in suite.tasks:
            raise SapwoodError(f"There is no task '{name}' in the suite '{suite.name}'. {closest(name, suite.tasks)}")
    return replace(suite, tasks={name: task for name, task in suite.tasks.items() if not tasks or name in tasks})


def _tokens(models: list[str]) -> TokenizerSettings:
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
                f"({_written(tokens)}), and models are compared on the same texts. Compare each with its own backbone."
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
    harness_prompts: bool,
    tokens: TokenizerSettings,
) -> Results:
    """What a model makes of the suite, or made of it where `model` is a directory of results."""
    kept = read_results(Path(model))
    if kept:
        found = {name: result for name, result in kept.items() if name in suite.tasks}
        if not found:
            raise SapwoodError(f"{model} has results of {', '.join(kept)}, and none of the suite '{suite.name}'.")
        return found
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
    from sapwood.evaluation.run_suites import find_sandbox
    from sapwood.suites.named_suites import check_items
    from sapwood.suites.suite import run_suite

    if not harness_prompts:
        check_items(suite, items)
    grown = RunDirectory(Path(model)).model
    directory = resolve(str(grown) if grown.is_dir() else model, default_cache())
    weights, sandbox = fingerprint_model(directory), find_sandbox([suite])
    if backend == "torch":
        from sapwood.device.ranks import Ranks
        from sapwood.suites.evaluator import TorchEvaluator
        from sapwood.suites.model import EvaluatedModel

        Ranks.join()
        with writing(place):
            evaluator = TorchEvaluator(EvaluatedModel.open(directory, begin=tokens.begin, end=tokens.end))
            return run_suite(evaluator, suite, items, place, weights=weights, sandbox=sandbox)
    from sapwood.suites.harness import HarnessEvaluator
    from sapwood.suites.harness_own import run_own_versions

    with writing(place):
        harness = HarnessEvaluator.open(
            directory, place / "harness", backend=backend, begin=tokens.begin, end=tokens.end
        )
        run = run_own_versions if harness_prompts else run_suite
        return run(harness, suite, items, place, weights=weights, sandbox=sandbox)
