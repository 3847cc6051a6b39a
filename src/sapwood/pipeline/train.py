"""From token shards to the adapted model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sapwood.corpus.store import stores_of
from sapwood.files import remove_directory, remove_leftovers, write_json
from sapwood.mixture.adopt import adopt
from sapwood.mixture.plan import Plan
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.pipeline.prepare import open_encoder, refuse_other_tokens
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory

if TYPE_CHECKING:
    from sapwood.training.loop import Trained

PATIENCE = 60
"""Seconds that torch waits longer for a rank than `training.parallel.timeout`, after which the rank itself speaks."""


def train(recipe: Run | Recipe | str | Path) -> Trained:
    """Trains a prepared run from its last checkpoint, or from the beginning, and exports the adapted model.

    On Ctrl-C it saves and stops: `finished` is False then, and the next call goes on from there. On several ranks, as
    under torchrun, all of them call it. Raises SapwoodError, before anything is trained, where something will stop it.
    """
    from sapwood.pipeline.preflight import checked_plan

    run = open_run(recipe)
    plan = checked_plan(run.recipe, run.directory, run.file, "train")
    with writing(run.directory.root, timeout=patience(run.recipe)):
        return train_run(run.recipe, plan, run.directory)


def patience(recipe: Recipe) -> timedelta:
    """How long torch waits for a rank."""
    return timedelta(seconds=recipe.training.parallel.timeout.amount + PATIENCE)


def train_run(recipe: Recipe, plan: Plan, run: RunDirectory) -> Trained:
    """Trains a prepared run to its end and exports the adapted model, in a directory that is held already."""
    from transformers import PreTrainedModel

    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
    from sapwood.backbone.tokenizer import open_tokenizer
    from sapwood.corpus.disk import full_disk_explained
    from sapwood.device.determinism import use_deterministic_kernels
    from sapwood.device.environment import describe_environment
    from sapwood.device.precision import autocast_type
    from sapwood.device.ranks import Ranks
    from sapwood.evaluation.evaluator import HeldOutEvaluator
    from sapwood.evaluation.in_loop import measure_in_loop
    from sapwood.evaluation.result import BASE
    from sapwood.evaluation.run_suites import RunSuites
    from sapwood.mixture.ledger import Ledger
    from sapwood.mixture.measured import Losses
    from sapwood.mixture.open import source_identities
    from sapwood.mixture.rounds import is_over
    from sapwood.suites.evaluator import EvaluatedModel
    from sapwood.training.adapted import export_adapted
    from sapwood.training.checkpoint import State, remove_incomplete
    from sapwood.training.loop import train as train_loop
    from sapwood.training.mirror import Mirror
    from sapwood.training.probe import probe

    during = recipe.evaluation.during
    suites = RunSuites.open(recipe, run, during.suites if during else ())
    identity = source_identities(recipe, run, [part.domain for part in plan.domains])
    model_directory = resolve(recipe.model, default_cache())
    base = fingerprint_model(model_directory)
    identity["model"] = base
    encoder = open_encoder(recipe, model_directory)
    refuse_other_tokens(run, recipe, encoder)

    if recipe.training.deterministic:
        use_deterministic_kernels()
    ranks = Ranks.join(patience(recipe))
    if ranks.first:
        remove_incomplete(run.checkpoints)
        if recipe.training.checkpoints.mirror is not None:
            Mirror(recipe.training.checkpoints.mirror, run).fetch()
        Ledger(run.ledger).check(identity)  # before the recipe is written down as that of the run
        adopt(run, recipe)
        write_json(run.plan, plan.to_json(), sealed=True)
        write_json(run.environment, describe_environment(ranks.device, ranks.size), sealed=True)
        orders = [run.epochs(part.domain.name) for part in plan.domains]
        for directory in (run.root, run.checkpoints, run.evaluation, *run.suites.glob("*"), *orders):
            remove_leftovers(directory)
        ledger = Ledger(run.ledger)
        ledger.begin(identity)
        ledger.adopt(recipe)
        begin, end = open_tokenizer(model_directory).around(encoder.delimiters)
        ledger.observe(replace(probe(model_directory, recipe.training), begin=begin, end=end))
        if run.model.exists() and not (is_over(plan, ledger) and ledger.finished_at == ledger.decided):
            remove_directory(run.model)  # it was adapted by fewer stages
    ranks.wait()

    autocast = autocast_type(recipe.training.precision, ranks.device)

    @cache  # the held-out texts are read once, and not between all rounds
    def evaluator() -> HeldOutEvaluator:
        return HeldOutEvaluator.open(recipe, stores_of(run, recipe), model_directory, autocast)

    def measure(model: PreTrainedModel, state: State, last_tokens: int | None) -> Losses:
        return measure_in_loop(
            evaluator(),
            model,
            run.evaluation,
            label=state.name if state.step else BASE,
            model_fingerprint=f"{base}+{state.step}" if state.step else base,
            tokens=state.tokens,
            last_tokens=last_tokens,
            write=ranks.first,
            tell=ranks.tell,
        )

    def measure_suites(model: PreTrainedModel, state: State) -> Mapping[str, float]:
        evaluated = EvaluatedModel.of(model, encoder, autocast)
        return suites.measure(evaluated, label=state.name, weights=f"{base}+{state.step}")

    with full_disk_explained(run.root, "Training"):
        trained = train_loop(recipe, plan, model_directory, run, ranks, measure, measure_suites)
    if trained.finished and ranks.first and not run.model.exists():
        with full_disk_explained(run.root, "Export"):
            export_adapted(recipe, model_directory, run.checkpoints / trained.state.name, run.model)
    return trained
