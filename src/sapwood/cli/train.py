"""`sapwood train`: from token shards to the adapted model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sapwood.cli.common import RUNS, OverridesArgument, RecipeArgument, RunsOption, open_run
from sapwood.progress import console
from sapwood.runs.directory import RunDirectory

if TYPE_CHECKING:
    from sapwood.training.loop import Trained

STOPPED = 130
"""The exit status of a run that was asked to stop, and did so in good order."""


def train(recipe: RecipeArgument, overrides: OverridesArgument = None, runs: RunsOption = RUNS) -> None:
    """Train from the last checkpoint, or from the beginning. Ctrl-C saves and stops; the same command continues."""
    from sapwood.pipeline.train import train as train_run  # it imports what looks into models

    run = open_run(recipe, overrides, runs)
    trained = train_run(run)
    print_trained(trained, run.directory)
    if not trained.finished:
        sys.exit(STOPPED)


def print_trained(trained: Trained, run: RunDirectory) -> None:
    """Prints how training ended."""
    if trained.finished:
        console.print(f"Trained {trained.state.tokens:,} tokens. The adapted model is in {run.model}.")
    else:
        console.print(f"Stopped and saved after step {trained.state.step:,}. The same command continues from there.")
