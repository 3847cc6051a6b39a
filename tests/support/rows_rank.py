"""What a rank does in `test_rows_on_ranks.py`."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist

from sapwood.device.ranks import Ranks
from sapwood.training.batch import empty_batch
from sapwood.training.engine import Engine
from sapwood.training.isolation import keep_apart
from sapwood.training.loader import MicroBatch
from small_models import small_model


def be_rank(rank: int, directory: str) -> None:
    """Writes what `Ranks.most` and `Engine._level` give where each rank has another number."""
    dist.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=2)
    ranks = Ranks(rank, 2, torch.device("cpu"))
    most = [ranks.most(value) for value in (rank, 5 - rank, 7)]
    engine = Engine.__new__(Engine)
    engine.model, engine._ranks = small_model("gpt2"), ranks
    own = (MicroBatch.of(empty_batch(4), [0]),) * (1 + 2 * rank)
    keep_apart(engine.model, "rows")
    levelled = engine._level(own)
    keep_apart(engine.model, "positions")
    others = engine._level(own)
    found = [most, [micro.domains.tolist() for micro in levelled], len(others)]
    Path(directory, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()
