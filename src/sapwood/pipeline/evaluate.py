"""What the model predicted well before, and what it predicts well now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.corpus.store import stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import Comparison
from sapwood.evaluation.gate import judge
from sapwood.evaluation.result import ADAPTED, BASE, Evaluation, read_evaluation
from sapwood.evaluation.run_comparison import compare_run
from sapwood.files import hash_file
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.pipeline.prepare import open_encoder
from sapwood.recipe import Recipe
from sapwood.recipe.suite import load_suite
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import again, last_step
from sapwood.statistics.change import Change

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The models of a run, as far as they were measured."""

    before: Evaluation
    """The base model."""
    after: Evaluation | None
    """The adapted model, or a checkpoint; None where nothing is trained yet."""
    changes: tuple[Change, ...]
    """Of every ability that the recipe names."""
    comparisons: tuple[Comparison, ...]
    """On the benchmarks of the recipe's suites."""


def evaluate(recipe: Run | Recipe | str | Path, *, checkpoint: str | None = None) -> Evaluated:
    """Measures the base model and, once it is trained, the adapted one; what is measured is not measured again.

    `checkpoint`, such as `step-00000120`, is measured in place of the adapted model. Raises SapwoodError where the run
    is not prepared, or has no such checkpoint.
    """
    run = open_run(recipe)
    with writing(run.directory.root):
        return evaluate_run(run.recipe, run.directory, checkpoint=checkpoint)


def evaluate_run(
    recipe: Recipe, run: RunDirectory, *, before: Evaluation | None = None, checkpoint: str | None = None
) -> Evaluated:
    """The same in a directory that is held already; `before` is the base model's, where it was just measured."""
    before = before or evaluate_base(recipe, run)
    if checkpoint is not None:
        after = evaluate_checkpoint(recipe, run, checkpoint)
    elif run.model.exists():
        after = evaluate_grown(recipe, run)
    else:
        return Evaluated(before, None, (), ())
    comparisons = tuple(found for found in compare_run(recipe, run) if found.model == after.label)
    return Evaluated(before, after, tuple(judge(recipe, before, after)), comparisons)


def evaluate_base(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the base model, unless that is done."""
    from sapwood.backbone.load import load_model
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve

    directory = resolve(recipe.model, default_cache())
    identity = fingerprint_model(directory)
    return measure_model(recipe, run, lambda: load_model(directory), BASE, identity, tokens=0)


def evaluate_grown(recipe: Recipe, run: RunDirectory) -> Evaluation:
    """Measures the adapted model as it was exported, and looks for the benchmarks in what it was trained on, unless
    that is done."""
    from sapwood.backbone.contents import CONFIG
    from sapwood.backbone.load import load_model
    from sapwood.backbone.record import refuse_damaged
    from sapwood.backbone.resolve import fingerprint_model
    from sapwood.device.ranks import Ranks
    from sapwood.evaluation.overlap import find_overlap
    from sapwood.suites.suite import items_directory

    if not run.model.exists():
        raise SapwoodError(f"There is no adapted model in {run.model}: `sapwood train` makes it.")
    refuse_damaged(run.model, {CONFIG: hash_file(run.model / CONFIG)})
    identity, last = fingerprint_model(run.model), last_step(run.metrics)
    if last is None:
        raise SapwoodError(f"{run.metrics} has no step, and {run.model} was trained. {again(run.metrics)}")
    tokens = last.tokens
    evaluation = measure_model(recipe, run, lambda: load_model(run.model), ADAPTED, identity, tokens=tokens)
    if Ranks.join().first:
        for reference in recipe.evaluation.suites:
            find_overlap(recipe, run, load_suite(reference), items_directory(recipe))
    return evaluation


def evaluate_checkpoint(recipe: Recipe, run: RunDirectory, name: str) -> Evaluation:
    """Measures the weights of one of the run's checkpoints as they are trained, unless that is done."""
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.training.adapted import load_adapted
    from sapwood.training.checkpoint import find_checkpoint, fingerprint_checkpoint, read_state

    path = find_checkpoint(run.checkpoints, name)

    def load() -> PreTrainedModel:
        return load_adapted(recipe, resolve(recipe.model, default_cache()), path)

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
    from sapwood.evaluation.evaluator import HeldOutEvaluator
    from sapwood.evaluation.run_suites import RunSuites
    from sapwood.suites.evaluator import EvaluatedModel

    ranks = Ranks.join()
    autocast = autocast_type(recipe.training.precision, ranks.device)
    directory = resolve(recipe.model, default_cache())
    model = cache(lambda: load().to(ranks.device))
    if in_full and recipe.evaluation.suites:
        suites = RunSuites.open(recipe, run)
        evaluated = EvaluatedModel.of(model(), open_encoder(recipe, directory), autocast)
        suites.measure(evaluated, label=label, weights=identity)
    evaluator = HeldOutEvaluator.open(recipe, stores_of(run, recipe), directory, autocast)
    path = run.evaluation / f"{label}.json"
    if path.exists():
        done = read_evaluation(path)
        if done.model == identity and done.settings == evaluator.settings:
            return done
    evaluation = evaluator.measure(
        model(), label=label, model_fingerprint=identity, tokens=tokens, with_samples=in_full
    )
    if ranks.first:
        evaluation.write(run.evaluation)
    return evaluation
