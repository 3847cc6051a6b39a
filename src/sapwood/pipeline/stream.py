"""The decided stream of a run, for trainers that are not ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood.mixture.decided import RUNS
from sapwood.pipeline.handle import written

if TYPE_CHECKING:
    from sapwood.training.dataset import StreamDataset


def stream(
    run_or_recipe: str | Path,
    rank: int = 0,
    world_size: int = 1,
    *,
    batch_size: int = 1,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    runs: str | Path = RUNS,
) -> StreamDataset:
    """The decided stream of a run, or of a recipe, as a dataset of torch (`StreamDataset`), for any trainer.

    `rank` and `world_size` say which part of the stream this process gets; `batch_size` is that of the DataLoader.
    """
    from sapwood.training.dataset import StreamDataset

    given = written(overrides)
    return StreamDataset(run_or_recipe, rank, world_size, batch_size=batch_size, overrides=given, runs=runs)
