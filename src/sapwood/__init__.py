"""Sapwood: continual pre-training that proves what was gained and what was kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sapwood.training.dataset import StreamDataset

__version__ = "0.1.0"


def stream(
    run_or_recipe: str | Path,
    rank: int = 0,
    world_size: int = 1,
    *,
    batch_size: int = 1,
    overrides: Iterable[str] = (),
    runs: str | Path = "runs",
) -> StreamDataset:
    """The decided stream of a run, or of a recipe, as a dataset of torch (`StreamDataset`), for any trainer.

    `rank` and `world_size` say which part of the stream this process gets; `batch_size` is that of the DataLoader.
    """
    from sapwood.training.dataset import StreamDataset  # torch takes seconds to load

    return StreamDataset(run_or_recipe, rank, world_size, batch_size=batch_size, overrides=overrides, runs=runs)
