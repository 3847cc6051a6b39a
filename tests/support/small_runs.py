"""Whole small runs, for the tests of training."""

from __future__ import annotations

from pathlib import Path

import torch

from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.mixture.stream import Stream
from sapwood.pipeline.handle import open_begun
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.train import train_run
from sapwood.runs.directory import RunDirectory


def prepare_and_train(path: Path, overrides: tuple[str, ...] = ()) -> RunDirectory:
    """Prepares and trains the run of a recipe, in `runs` beside it."""
    torch.set_num_threads(1)
    recipe, run = open_run(path, overrides, path.parent / "runs")
    prepare_run(recipe, run)
    train_run(recipe, plan_or_refuse(recipe, run, path), run)
    return run


def stream_of(run: RunDirectory) -> Stream:
    """The stream of a run that has begun."""
    return open_begun(run.root)[1]
