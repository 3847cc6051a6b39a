"""`sapwood evaluate`: what the model predicted well before, and what it predicts well now."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, writing
from sapwood.cli.comparison import print_comparison
from sapwood.cli.output import Output
from sapwood.cli.tokenizer import open_encoder
from sapwood.corpus.store import stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import BASE, GROWN, Evaluation, read_evaluation
from sapwood.evaluation.run_comparison import compare_run
from sapwood.files import hash_file
from sapwood.progress import console
from sapwood.recipe import Recipe
from sapwood.recipe.suite import load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import again, read_metrics

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def evaluate(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    runs: RunsOption = RUNS,
    checkpoint: Annotated[
        str | None, typer.Option(help="Measure this saved checkpoint instead, such as step-00000120.")
    ] = None,
) -> None:
    """Measure the backbone and, once it is trained, the grown model on the held-out documents."""
    loaded, run = open_run(recipe, overrides, runs)
    with writing(run.root):
        base = evaluate_base(loaded, run)
        if checkpoint is not None:
            print_verdict(loaded, run, base, evaluate_checkpoint(loaded, run, checkpoint))
        elif run.model.exists():
            print_verdict(loaded, run, base, evaluate_grown(loaded, run))
        else:
            console.print("The model is not trained yet: only the backbone was measured.")


def evaluate_base(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the backbone, unless that is done."""
    from sapwood.backbone.load import load_model
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve

    directory = resolve(recipe.model, default_cache())
    identity = fingerprint_model(directory)
    return measure_model(recipe, run, lambda: load_model(directory), BASE, identity, tokens=0)


def evaluate_grown(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the grown model as it was exported, and looks for the benchmarks in what it was trained on, unless that
    is done."""
    from sapwood.backbone.contents import CONFIG
    from sapwood.backbone.load import load_model
    from sapwood.backbone.record import refuse_damaged
    from sapwood.backbone.resolve import fingerprint_model
    from sapwood.device.ranks import Ranks
    from sapwood.evaluation.overlap import find_overlap
    from sapwood.suites.named_suites import items_directory

    if not run.model.exists():
        raise SapwoodError(f"There is no grown model in {run.model}: `sapwood train` makes it.")
    refuse_damaged(run.model, {CONFIG: hash_file(run.model / CONFIG)})
    identity, steps = fingerprint_model(run.model), read_metrics(run.metrics)
    if not steps:
        raise SapwoodError(f"{run.metrics} has no step, and {run.model} was trained. {again(run.metrics)}")
    tokens = steps[-1].tokens
    evaluation = measure_model(recipe, run, lambda: load_model(run.model), GROWN, identity, tokens=tokens)
    if Ranks.join().first:
        for reference in recipe.evaluation.suites:
            find_overlap(recipe, run, load_suite(reference), items_directory(recipe))
    return evaluation


def evaluate_checkpoint(recipe: Recipe, run: RunDirectory, name: str) -> Evaluation:
    """Measures the weights of one of the run's checkpoints as they are trained, unless that is done."""
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.training.checkpoint import find_checkpoint, fingerprint_checkpoint, read_state
    from sapwood.training.grown import load_grown

    path = find_checkpoint(run.checkpoints, name)

    def load() -> PreTrainedModel:
        return load_grown(recipe, resolve(recipe.model, default_cache()), path)

    return measure_model(recipe, run, load, name, fingerprint_checkpoint(path), tokens=read_state(path).tokens)


def measure_model(
    recipe: Recipe,
    run: RunDirectory,
    load: Callable[[], PreTrainedModel],
    label: str,
    identity: str,
    *,
    tokens: int,
    in_full: bool = True,
) -> Evaluation:
    """Measures the model that `load` gives, unless one of the same `identity` was measured under the `label`.

    `in_full`, it also continues texts for people to read, and answers the benchmarks of the recipe's suites."""
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.precision import autocast_type
    from sapwood.device.ranks import Ranks
    from sapwood.evaluation.run_suites import RunSuites
    from sapwood.evaluation.yardstick import Yardstick
    from sapwood.suites.model import EvaluatedModel

    ranks = Ranks.join()
    autocast = autocast_type(recipe.training.precision, ranks.device)
    directory = resolve(recipe.model, default_cache())
    model = cache(lambda: load().to(ranks.device))
    if in_full and recipe.evaluation.suites:
        suites = RunSuites.open(recipe, run)
        evaluated = EvaluatedModel.of(model(), open_encoder(recipe, directory), autocast)
        suites.measure(evaluated, label=label, weights=identity)
    yardstick = Yardstick.open(recipe, stores_of(run, recipe), directory, autocast)
    path = run.evaluation / f"{label}.json"
    if path.exists():
        done = read_evaluation(path)
        if done.model == identity and done.settings == yardstick.settings:
            return done
    evaluation = yardstick.measure(
        model(), label=label, model_fingerprint=identity, tokens=tokens, with_samples=in_full
    )
    if ranks.first:
        evaluation.write(run.evaluation)
    return evaluation


def print_verdict(recipe: Recipe, run: RunDirectory, before: Evaluation, after: Evaluation) -> None:
    """Prints what was gained, kept and lost: one line for every ability the recipe names, and for every benchmark."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="Bits per byte of held-out text")
    for title in ("", "before", "after", "change", f"{recipe.evaluation.confidence:.0%} interval", "verdict"):
        table.add_column(title, justify="left" if title in ("", "verdict") else "right")
    for finding in judge(recipe, before, after):
        low, high = finding.interval
        table.add_row(
            finding.name,
            f"{finding.before:.3f}",
            f"{finding.after:.3f}",
            f"{finding.change.value:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            finding.verdict,
            style=None if finding.passed else "yellow",
        )
    console = Output(stderr=True)
    console.print(table)
    for comparison in compare_run(recipe, run):
        if comparison.model == after.label:
            print_comparison(console, comparison)
