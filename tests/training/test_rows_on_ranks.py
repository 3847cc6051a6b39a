"""Documents one a row on several ranks: those with fewer micro-batches run empty ones, so that none waits."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

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
    own = (MicroBatch(empty_batch(4), ("d",), (3,)),) * (1 + 2 * rank)
    keep_apart(engine.model, "rows")
    levelled = engine._level(own)
    keep_apart(engine.model, "positions")
    others = engine._level(own)
    found = [most, [micro.domains for micro in levelled], len(others)]
    Path(directory, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def test_ranks_with_fewer_micro_batches_of_rows_run_empty_ones(tmp_path: Path) -> None:
    mp.spawn(be_rank, args=(str(tmp_path),), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == [[1, 5, 7], [["d"], [], []], 1]
    assert second == [[1, 5, 7], [["d"]] * 3, 3]
