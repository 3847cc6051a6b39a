"""How much memory a recipe will need on every rank, before anything is loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from sapwood.backbone.load import build_skeleton, load_config
from sapwood.device.chips import Chip
from sapwood.device.precision import autocast_type
from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Recipe, Stage
from sapwood.training.adapters import add_adapters, type_between_steps
from sapwood.training.dry_run import GRADIENTS, WEIGHTS, WORKING, Spread, dry_run, dry_run_update
from sapwood.training.layers import decoder_layers
from sapwood.training.lowbit import CHUNKS, SMALL, LowBitAdamW
from sapwood.training.quantise import blocks
from sapwood.training.recompute import checkpoint_activations
from sapwood.training.trainable import ever_trainable, select

OPTIMIZER, AVERAGE, STAGING, PROCESS = "optimizer", "average", "copy for checkpoints", "process"
MOMENTS = 2 * 4
"""Bytes of the two moments of AdamW, in fp32."""
PROCESSES = {"cpu": 480 << 20, "cuda": 1 << 30}
"""Bytes that a process takes before it holds a tensor. On a CPU, Python with torch, transformers and the stream, as
measured; on a GPU, the context of CUDA and the buffers of NCCL, which is an assumption."""
UNUSABLE = 0.05
"""The share of a GPU's memory that is lost to fragments and to what the driver keeps: an assumption."""


class DryRunError(SapwoodError):
    """The model does what cannot be done without numbers."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run is planned for."""

    ranks: int = 1
    ranks_per_node: int = 1
    device: Literal["cpu", "cuda"] = "cuda"
    chip: Chip | None = None
    """The kind of GPU, if it is a known one."""
    memory: int | None = None
    """Bytes of each GPU."""

    @property
    def usable(self) -> float | None:
        """Bytes of each GPU that a process can fill."""
        return None if self.memory is None else self.memory * (1 - UNUSABLE)


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of one rank, in bytes by part."""

    stage: str
    """The stage that needs most."""
    device: dict[str, int]
    """On the GPU, at the moment of a step at which it is most; on a CPU, in the process."""
    host: dict[str, int]
    """Beside a GPU, what the recipe keeps in the memory of the host."""

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return sum(self.device.values())


def shapes(config: Any, recipe: Recipe, stage: Stage, arithmetic: torch.dtype) -> PreTrainedModel:
    """The model on `meta`, as it is in a step of a stage: adapters added, and frozen what is not trained.

    Raises SapwoodError where the recipe asks for what the model does not have.
    """
    model = build_skeleton(config, arithmetic)
    if recipe.training.adapter is not None:
        add_adapters(model, recipe.training.adapter, recipe.seed)
    select(model, recipe, stage)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(arithmetic)
    return model.train()


def arithmetic_of(recipe: Recipe, machine: Machine) -> torch.dtype:
    """The type of forward and backward passes."""
    precision = recipe.training.precision
    if precision == "auto" and machine.device == "cuda":
        return torch.float32 if machine.chip is not None and machine.chip.bf16 is None else torch.bfloat16
    return autocast_type(precision, torch.device(machine.device)) or torch.float32


def predict(directory: Path, recipe: Recipe, machine: Machine) -> Footprint:
    """The memory of a rank in the stage that needs most, by a dry run of one step of each.

    `directory` holds the model's configuration. Raises DryRunError where the model allows none, and
    SapwoodError where it cannot be built, or where the recipe asks for what it does not have.
    """
    config = load_config(directory)
    stages = {str((stage.sequence_length, stage.trainable)): stage for stage in reversed(recipe.stages)}
    found = [_of_stage(config, recipe, stage, machine) for stage in reversed(stages.values())]
    return max(found, key=lambda footprint: footprint.total)


def saved_bytes(directory: Path, recipe: Recipe) -> tuple[int, int]:
    """Bytes on the disk of the weights of the model in `directory`, and of one checkpoint of its training.

    Raises SapwoodError where the model cannot be built.
    """
    config = load_config(directory)
    model = shapes(config, recipe, recipe.stages[-1], torch.float32)
    state = sum(_between_steps(model, recipe, 1).values())
    itemsize = getattr(config, "dtype", None) or torch.float32
    return sum(parameter.numel() for parameter in model.parameters()) * itemsize.itemsize, state


def _of_stage(config: Any, recipe: Recipe, stage: Stage, machine: Machine) -> Footprint:
    settings = recipe.training
    model = _prepared(config, recipe, stage, machine)
    shards = settings.parallel.shards(machine.ranks, min(machine.ranks, machine.ranks_per_node))
    length = stage.sequence_length or recipe.sequence_length
    own = max(1, -(-(settings.batch_tokens // length) // machine.ranks))
    sequences = min(settings.micro_batch, own)
    offload = settings.parallel.offload and machine.device == "cuda"
    held = _between_steps(model, recipe, shards)
    spread = Spread(
        shards=shards,
        master=max((_master(recipe, name) for name, p in model.named_parameters() if p.requires_grad), default=4),
        arithmetic=arithmetic_of(recipe, machine).itemsize,
        sums="none" if own <= sequences else "whole" if settings.parallel.reduce == "step" else "shards",
        offload=offload,
    )
    gradients = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) * spread.master
    go_through = partial(
        dry_run,
        spread=spread,
        device=machine.device,
        sequences=sequences,
        length=length,
        chunked=settings.loss != "whole",
    )
    try:
        step = go_through(model)
    except Exception as first:  # of whatever kind torch has for it
        model = _prepared(config, recipe, stage, machine)
        try:
            step = go_through(model, masked=False)
        except Exception as second:  # mostly at the making of the mask, which says nothing of what stood in the way
            raise DryRunError(
                f"{type(model).__name__} could not be run dry on the meta device, with which memory is estimated "
                f"({type(first).__name__}: {first}). Try a step of it."
            ) from second
    update = {GRADIENTS: gradients // shards, WORKING: _in_update(model, recipe, machine, shards)}
    if not offload and sum(update.values()) > sum(step.values()):
        step = update
    staging = {STAGING: sum(held.values())} if settings.checkpoints.are_asynchronous(machine.device) else {}
    host = staging if machine.device == "cuda" else {}
    if offload:
        host = {**held, GRADIENTS: gradients // shards, **staging}
        held = {}
    elif machine.device == "cpu":
        held = held | staging
    process = {PROCESS: PROCESSES[machine.device]}
    return Footprint(stage.name, dict(Counter(held) + Counter(step) + Counter(process)), host)


def _prepared(config: Any, recipe: Recipe, stage: Stage, machine: Machine) -> PreTrainedModel:
    """The model of a stage on `meta`, ready for a dry run."""
    model = shapes(config, recipe, stage, arithmetic_of(recipe, machine))
    checkpoint_activations(decoder_layers(model), recipe.training.activation_checkpointing)
    return model


def _in_update(model: PreTrainedModel, recipe: Recipe, machine: Machine, shards: int) -> int:
    """Bytes that the optimizer needs besides its state, while it works on the largest parameter."""
    settings = recipe.training
    sizes = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    largest = max(sizes, key=lambda name: sizes[name].numel())
    kept = type_between_steps(settings, largest)
    eight_bits = settings.optimizer.kind == "adamw-8bit"
    if not eight_bits and kept == torch.float32:
        return 0  # the fused kernel
    rows, *columns = sizes[largest].shape
    part = torch.nn.Parameter(torch.empty(-(-rows // shards), *columns, dtype=kept, device="meta"))
    group = {"params": [part], "weight_decay": settings.optimizer.weight_decay}
    betas, epsilon = settings.optimizer.betas, settings.optimizer.epsilon
    optimizer = LowBitAdamW(
        [group],
        lr=1.0,
        betas=betas,
        eps=epsilon,
        eight_bits=eight_bits,
        seed=recipe.seed,
        chunk=CHUNKS["cpu" if settings.parallel.offload else machine.device],
    )
    return dry_run_update(optimizer, machine.device)


def _between_steps(model: PreTrainedModel, recipe: Recipe, shards: int) -> dict[str, int]:
    """Bytes of what a rank holds between steps."""
    settings = recipe.training
    trained = ever_trainable(model, recipe)
    found: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        size = _master(recipe, name) * parameter.numel()
        found[WEIGHTS] += size
        if name in trained:
            found[AVERAGE] += size if settings.ema is not None else 0
            if settings.optimizer.kind == "adamw" or parameter.ndim < 2 or parameter.numel() < SMALL:
                found[OPTIMIZER] += MOMENTS * parameter.numel()
            else:  # codes of one byte, and a scale for every block
                columns = parameter.shape[-1]
                found[OPTIMIZER] += 2 * parameter.numel() // columns * (columns + 4 * blocks(columns))
    return {part: size // shards for part, size in found.items() if size}


def _master(recipe: Recipe, name: str) -> int:
    """Bytes of a number of this parameter between steps."""
    return type_between_steps(recipe.training, name).itemsize
