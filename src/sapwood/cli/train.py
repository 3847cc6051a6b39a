"""`sapwood train`: from token shards to the grown model."""

from __future__ import annotations

import shutil
import sys

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, plan_or_refuse
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.manifest import read_manifest
from sapwood.mixture.plan import Plan
from sapwood.progress import console
from sapwood.recipe import Recipe

STOPPED = 130
"""The exit status of a run that was asked to stop, and did so in good order."""


def train(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Train from the last checkpoint, or from the beginning. Ctrl-C saves and stops; the same command continues."""
    loaded, run = open_run(recipe, overrides, runs)
    train_run(loaded, plan_or_refuse(loaded, run, recipe, to_train=True), run)


def train_run(recipe: Recipe, plan: Plan, run: RunDirectory) -> None:
    """Trains a prepared run to its end and exports the grown model. Exits with STOPPED when asked to stop before."""
    from transformers import PreTrainedModel

    from sapwood.backbone.export import export
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
    from sapwood.environment import describe_environment
    from sapwood.evaluation.yardstick import Yardstick
    from sapwood.likelihood.precision import autocast_type
    from sapwood.mixture.ledger import Ledger, Losses
    from sapwood.tokens.sequence import Packing
    from sapwood.tokens.store import TokenStore
    from sapwood.training.checkpoint import State, unshared_weights
    from sapwood.training.loop import train as train_loop
    from sapwood.training.parallel import Ranks

    identity = {}
    for domain in plan.domains:
        manifest = read_manifest(run.tokens(domain.name))
        if manifest is None:
            raise SapwoodError(f"The source '{domain.name}' is not prepared yet: `sapwood prepare` does that.")
        identity[f"source '{domain.name}'"] = manifest.fingerprint
    model_directory = resolve(recipe.model, default_cache())
    base = fingerprint_model(model_directory)
    identity["model"] = base

    ranks = Ranks.join()
    try:
        if ranks.first:
            run.adopt(recipe)
            write_json(run.plan, plan.to_json())
            write_json(run.environment, describe_environment(ranks.device, ranks.size))
            ledger = Ledger(run.ledger)
            ledger.begin(identity)
            if run.model.exists() and ledger.finished_at != plan.sequences:
                shutil.rmtree(run.model)  # it was grown by fewer stages
        ranks.wait()
        packings = {
            domain.name: Packing(TokenStore(run.tokens(domain.name), "train"), recipe.sequence_length)
            for domain in plan.domains
            if domain.sequences
        }

        def measure(model: PreTrainedModel, state: State) -> Losses:
            yardstick = Yardstick.open(
                recipe, run.corpora(recipe), model_directory, autocast_type(recipe.training.precision, ranks.device)
            )
            evaluation = yardstick.measure(
                model,
                label=f"step-{state.step:08d}",
                model_fingerprint=f"{base}+{state.step}",
                tokens=state.position * plan.sequence_length,
            )
            if ranks.first:
                evaluation.write(run.evaluation)
            return evaluation.losses()

        trained = train_loop(recipe, plan, model_directory, packings, run, ranks, measure)
        if trained.finished and ranks.first and not run.model.exists():
            export(unshared_weights(trained.model), model_directory, run.model)
    finally:
        ranks.leave()
    if not trained.finished:
        console.print(f"Stopped and saved after step {trained.state.step}. The same command continues from there.")
        sys.exit(STOPPED)
    console.print(f"Trained {plan.tokens:,} tokens. The grown model is in {run.model}.")
