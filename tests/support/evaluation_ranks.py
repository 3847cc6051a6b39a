"""What each of two processes does in `test_on_ranks.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard

from exams import choice_task, writing_task
from sapwood.recipe.suite import Suite
from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator
from sapwood.suites.suite import run_suite


def suite() -> Suite:
    """A choice, and texts."""
    tasks = [choice_task(), writing_task(max_tokens=20, stop=["e"])]
    return Suite("test", "", {task.name: task for task in tasks})


def evaluate_rank(rendezvous: Path, directory: Path, items: Path, output: Path, rank: int) -> None:
    """Puts a suite to a whole and to a sharded model."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    answer = {}
    for name in ("whole", "sharded"):
        evaluated = EvaluatedModel.open(directory, "fp32")
        if name == "sharded":
            for layer in evaluated.model.model.layers:
                fully_shard(layer)
            fully_shard(evaluated.model)
        results = run_suite(TorchEvaluator(evaluated), suite(), items, output / name, weights=name)
        answer[name] = {task: result.summary()["scores"] for task, result in results.items()}
    (output / f"{rank}.json").write_text(json.dumps(answer))
    dist.destroy_process_group()
