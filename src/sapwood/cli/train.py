"""`sapwood train`: from token shards to the grown model."""

from __future__ import annotations

import shutil
import sys
from functools import cache

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run, plan_or_refuse
from sapwood.directory import RunDirectory
from sapwood.files import write_json
from sapwood.mixture.plan import Plan
from sapwood.progress import console
from sapwood.recipe import Recipe

STOPPED = 130
"""The exit status of a run that was asked to stop, and did so in good order."""


def train(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Train from the last checkpoint, or from the beginning. Ctrl-C saves and stops; the same command continues."""
    loaded, run = open_run(recipe, overrides, runs)
    train_run(loaded, plan_or_refuse(loaded, run, recipe), run)


def train_run(recipe: Recipe, plan: Plan, run: RunDirectory) -> None:
    """Trains a prepared run to its end and exports the grown model. Exits with STOPPED when asked to stop before."""
    from transformers import PreTrainedModel

    from sapwood.backbone.export import export
    from sapwood.backbone.resolve import default_cache, fingerprint_model, resolve
    from sapwood.environment import describe_environment
    from sapwood.evaluation.between import measure_between
    from sapwood.evaluation.result import BASE
    from sapwood.evaluation.yardstick import Yardstick
    from sapwood.likelihood.precision import autocast_type
    from sapwood.mixture.ledger import Ledger
    from sapwood.mixture.measured import Losses
    from sapwood.mixture.open import source_identities
    from sapwood.mixture.rounds import is_over
    from sapwood.training.checkpoint import State, unshared_weights
    from sapwood.training.loop import train as train_loop
    from sapwood.training.parallel import Ranks

    identity = source_identities(recipe, run, [part.domain for part in plan.domains])
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
            if run.model.exists() and not (is_over(plan, ledger) and ledger.finished_at == ledger.decided):
                shutil.rmtree(run.model)  # it was grown by fewer stages
        ranks.wait()

        @cache  # the held-out texts are read once, and not between all rounds
        def yardstick() -> Yardstick:
            autocast = autocast_type(recipe.training.precision, ranks.device)
            return Yardstick.open(recipe, run.corpora(recipe), model_directory, autocast)

        def measure(model: PreTrainedModel, state: State, tokens: int, last_tokens: int | None) -> Losses:
            label = f"step-{state.step:08d}" if state.step else BASE
            fingerprint = f"{base}+{state.step}" if state.step else base
            return measure_between(
                yardstick(),
                model,
                run.evaluation,
                label=label,
                model_fingerprint=fingerprint,
                tokens=tokens,
                last_tokens=last_tokens,
                write=ranks.first,
                tell=ranks.tell,
            )

        trained = train_loop(recipe, plan, model_directory, run, ranks, measure)
        if trained.finished and ranks.first and not run.model.exists():
            export(unshared_weights(trained.model), model_directory, run.model)
    finally:
        ranks.leave()
    if not trained.finished:
        console.print(f"Stopped and saved after step {trained.state.step}. The same command continues from there.")
        sys.exit(STOPPED)
    tokens = Ledger(run.ledger).tokens_until(trained.state.position)
    console.print(f"Trained {tokens:,} tokens. The grown model is in {run.model}.")
