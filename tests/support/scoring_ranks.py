"""What each of several processes does in `test_score_ranks.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM

from sapwood.likelihood.score import score

LENGTHS = [9, 30, 2, 17, 1, 30, 25, 4, 12, 28, 6]


def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=128,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    )


def sequences() -> list[np.ndarray]:
    numbers = np.random.default_rng(2)
    return [numbers.integers(0, 128, size=length) for length in LENGTHS]


def score_rank(rendezvous: Path, output: Path, rank: int, ranks: int) -> None:
    """Scores with a whole and with a sharded model."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=ranks)
    steps: list[int] = []
    whole = tiny_model()
    replicated = score(whole, sequences(), max_tokens=40, advance=lambda amount, remark="": steps.append(amount))

    sharded = tiny_model()
    for layer in sharded.model.layers:
        fully_shard(layer)
    fully_shard(sharded)
    before = score(sharded, sequences(), max_tokens=40)
    # Training after scoring: what scoring allocated must be usable in it.
    inputs = torch.from_numpy(sequences()[1])[None]
    sharded.train()
    sharded(input_ids=inputs, use_cache=False).logits.logsumexp(-1).mean().backward()

    answer = {
        "replicated": [item.nats for item in replicated],
        "tokens": [item.tokens for item in replicated],
        "sharded": [item.nats for item in before],
        "advanced": sum(steps),
    }
    output.write_text(json.dumps(answer))
    dist.destroy_process_group()
