"""The model with its optimizer: what one step does to them, and what is saved of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from sapwood.device.ranks import Ranks
from sapwood.recipe import Recipe
from sapwood.training.checkpoint import (
    AVERAGE,
    State,
    checkpoints,
    files_of,
    load_checkpoint,
    read_state,
    verify,
)
from sapwood.training.flops import flops_per_token, peak_flops, utilisation
from sapwood.training.fp8 import without_fp8
from sapwood.training.guard import Watch
from sapwood.training.isolation import way_of
from sapwood.training.loader import MicroBatch, StepInput
from sapwood.training.loss import next_token_losses
from sapwood.training.model import accumulate, build_model
from sapwood.training.optimizer import build_optimizer, optimizer_tensors
from sapwood.training.trainable import ever_trainable, select

T = TypeVar("T")


class Engine:
    """The model on the ranks. All its methods are collective: every rank calls them with the same arguments."""

    def __init__(self, recipe: Recipe, directory: Path, domains: Sequence[str], ranks: Ranks) -> None:
        """Builds the model in `directory` and its optimizer; batches will have sequences of `domains`."""
        self.model: PreTrainedModel
        self.model, self._head = build_model(recipe, directory, ranks)
        self._recipe = recipe
        self._settings = recipe.training
        self._ranks = ranks
        self._ever = ever_trainable(self.model, recipe)
        self._domains = len(domains)
        self._home = next(iter(self._trained().values())).device
        self._optimizer = build_optimizer(self.model, recipe)
        self._watch = Watch(self._settings.guard, ranks.device)
        self._average = (
            {name: parameter.detach().clone() for name, parameter in self._trained().items()}
            if self._settings.ema
            else {}
        )

    def step(self, inputs: StepInput, predicted: int, rate: float, number: int) -> torch.Tensor:
        """One optimizer step, the `number`th, with the learning rate `rate`; `predicted` tokens count over all ranks.

        Gives, without waiting for the device, float64 numbers [3 + 2 * domains]: the loss per predicted token, the
        norm of the gradient, whether the step was skipped; the sums of losses by domain, and of predicted tokens.
        """
        device = self._ranks.device
        torch.manual_seed(hash((self._recipe.seed, number, self._ranks.rank)))  # dropout, in models that have it
        sums = torch.zeros(2, self._domains, dtype=torch.float64, device=device)
        micro_batches = self._level(inputs.micro_batches)
        for index, micro in enumerate(micro_batches):
            accumulate(self.model, last=index + 1 == len(micro_batches), settings=self._settings)
            there = micro.to(device)
            total, losses = next_token_losses(self.model, there.batch, self._head)
            (total / max(predicted, 1)).backward()  # type: ignore[no-untyped-call]
            if len(there.domains):
                sums[0].index_add_(0, there.domains, losses.double())
                sums[1].index_add_(0, there.domains, there.counts)
        self._ranks.add_up(sums)
        loss = sums[0].sum() / max(predicted, 1)
        norm = self._clip().to(loss)
        skipped = self._watch.judge(loss, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # The fused kernel leaves everything as it is where this flag is up; it serves overflow in fp16 otherwise.
        # With `offload` the kernel runs on the host, and torch would bring the flag there without waiting for it.
        flag = skipped.to(self._home)
        self._optimizer.grad_scale, self._optimizer.found_inf = None, flag  # type: ignore[attr-defined]
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._follow()
        return torch.cat([torch.stack([loss, norm, skipped.double()]), sums.flatten()])

    def measured(self, measure: Callable[[PreTrainedModel], T]) -> T:
        """What `measure` finds of the model as it is now, in the precision in which the exported one is measured."""
        try:
            with without_fp8(self.model):
                return measure(self.model)
        finally:
            # After a forward pass alone the last parameters would still stand there whole, and be trained no further.
            assert isinstance(self.model, FSDPModule)
            self.model.reshard()

    def begin_stage(self, name: str, sequence_length: int) -> None:
        """Lets what the recipe trains in a stage be trained, and nothing else."""
        select(self.model, self._recipe, next(stage for stage in self._recipe.stages if stage.name == name))
        self._flops = flops_per_token(self.model, sequence_length)

    def utilisation(self, tokens_per_second: float) -> float | None:
        """The share of what the chips can do (MFU) in the stage that was begun; None where that is not known."""
        peak = peak_flops(self._settings, self._ranks.device)
        return utilisation(tokens_per_second, self._flops, peak, self._ranks.size)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: the trained weights, the optimizer's state, the average, the guard's memory.

        They are what training works on: whoever fills them restores it.
        """
        return {
            **self._trained(),
            **optimizer_tensors(self._optimizer),
            **{f"{AVERAGE}{name}": tensor for name, tensor in self._average.items()},
            **self._watch.tensors,
        }

    def load_latest(self, directory: Path) -> State | None:
        """Puts the newest checkpoint below `directory` into model and optimizer; None when there is none.

        The first rank says which that is: on a network file system, others may not see it yet, or still see one that is
        gone. Raises SapwoodError where a file is not what was written.
        """
        found = checkpoints(directory) if self._ranks.first else []
        name = self._ranks.tell(found[-1].name if found else None)
        if name is None:
            return None
        newest = directory / name
        # Every rank looks at its part of the files.
        verify(newest, files_of(newest)[self._ranks.rank :: self._ranks.size])
        load_checkpoint(newest, self.tensors())
        return read_state(newest)

    @property
    def by_document(self) -> bool:
        """Whether the model keeps documents apart by a row for each."""
        return way_of(self.model) == "rows"

    def _level(self, micro_batches: tuple[MicroBatch, ...]) -> tuple[MicroBatch, ...]:
        """As many micro-batches as on the rank that has most: all ranks of a sharded model run it equally often."""
        if not self.by_document:
            return micro_batches
        missing = self._ranks.most(len(micro_batches)) - len(micro_batches)
        return micro_batches + (MicroBatch.empty(1),) * missing

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: parameter for name, parameter in self.model.named_parameters() if name in self._ever}

    def _clip(self) -> torch.Tensor:
        """The norm of the gradient [scalar], which is then no longer than the recipe allows."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        if self._settings.parallel.sharding != "full":
            # Every copy of the model has computed it for itself. One figure, so that all copies clip alike, and none
            # skips a step that another takes.
            norm = self._ranks.add_up(norm) / self._ranks.size
        nn.utils.clip_grads_with_norm_(parameters, self._settings.optimizer.clip or math.inf, norm)
        return norm

    def _follow(self) -> None:
        """Moves the average towards the weights."""
        if self._settings.ema is not None:
            weights = self._trained()
            for name, tensor in self._average.items():
                tensor.lerp_(weights[name].detach().to(tensor.dtype), 1 - self._settings.ema)
