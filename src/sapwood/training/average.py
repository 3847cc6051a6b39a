"""Averages of weights: over the last checkpoints of a run, and between an adapted model and its base model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch
from transformers import PreTrainedModel

from sapwood.backbone.export import export
from sapwood.backbone.load import load_model
from sapwood.backbone.stored import Tensors, shape_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.merged import EMA, LAST
from sapwood.files import fingerprint
from sapwood.recipe.schema import DecayShape, Recipe
from sapwood.training.adapted import adapted_weights, fill, trains_all
from sapwood.training.checkpoint import fingerprint_checkpoint, read_state


def decay_weights(tokens: Sequence[int], shape: DecayShape) -> list[float]:
    """How much each checkpoint counts so that their sum stands for a decay of the learning rate, over all of them.

    `tokens` are where the checkpoints lie, in order; between them the rate did not change. With g_j the mean of what
    the decay leaves of it from checkpoint j - 1 to j, the decayed run would have ended in

        θ_0 + Σ g_j (θ_j - θ_(j-1)) = Σ w_j θ_j,    w_0 = 1 - g_1,  w_j = g_j - g_(j+1),  w_n = g_n,

    if no update depended on the ones before (after 2507.17634). None is below zero, and their sum is 1.
    """
    begin, length = tokens[0], tokens[-1] - tokens[0]
    places = [(count - begin) / length if length else 1.0 for count in tokens]
    left = [1.0, *(_mean_remaining(shape, *stretch) for stretch in pairwise(places)), 0.0]
    return [before - after for before, after in pairwise(left)]


def _mean_remaining(shape: DecayShape, begin: float, end: float) -> float:
    """The mean of `schedule.remaining` between two shares of a decay, in forms that do not suffer from small ones."""
    if shape == "linear":
        return 1 - (begin + end) / 2
    if shape == "1-sqrt":
        return 1 - 2 / 3 * (begin + math.sqrt(begin * end) + end) / (math.sqrt(begin) + math.sqrt(end))
    half = math.pi * (end - begin) / 2
    return (1 + math.cos(math.pi * (begin + end) / 2) * math.sin(half) / half) / 2


class Average(Tensors):
    """Weighted sums of the tensors of several states, in fp32, each computed when it is asked for."""

    def __init__(self, states: Sequence[Mapping[str, torch.Tensor]], weights: Sequence[float]) -> None:
        """Raises SapwoodError where the states do not hold tensors of the same names."""
        self._places = dict.fromkeys(states[0])
        for state in states[1:]:
            if differing := sorted(set(state) ^ set(self._places)):
                raise SapwoodError(f"The weights cannot be averaged: not all states have a '{differing[0]}'.")
        self._parts = [(state, weight) for state, weight in zip(states, weights, strict=True) if weight]

    def __getitem__(self, name: str) -> torch.Tensor:
        (state, weight), *others = self._parts
        total = state[name].detach().float() * weight
        for state, weight in others:
            total.add_(state[name].detach(), alpha=weight)
        return total

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor."""
        return shape_of(self._parts[0][0], name)


@dataclass(frozen=True)
class Merged:
    """Weights that some checkpoints of a run make together, and the way to them from the base model."""

    recipe: Recipe
    backbone: Path
    series: str
    """What they are: `last`, `ema`, `mean-8`, `linear-8`."""
    counts: Mapping[Path, float]
    """How much each checkpoint counts."""

    @staticmethod
    def of(recipe: Recipe, backbone: Path, checkpoints: Sequence[Path], decay: DecayShape | None) -> Merged:
        """The mean of checkpoints, or their sum that stands for a decay over them; of one, that checkpoint itself."""
        count = len(checkpoints)
        if count == 1:
            return Merged(recipe, backbone, LAST, {checkpoints[0]: 1.0})
        tokens = [read_state(checkpoint).tokens for checkpoint in checkpoints]
        weights = decay_weights(tokens, decay) if decay else [1 / count] * count
        return Merged(recipe, backbone, f"{decay or 'mean'}-{count}", dict(zip(checkpoints, weights, strict=True)))

    @staticmethod
    def ema(recipe: Recipe, backbone: Path, checkpoint: Path) -> Merged:
        """The moving average in a checkpoint. Raises SapwoodError where the recipe keeps none."""
        if recipe.training.ema is None:
            raise SapwoodError("The run keeps no moving average of its weights: its recipe has no `training.ema`.")
        return Merged(recipe, backbone, EMA, {checkpoint: 1.0})

    @property
    def identity(self) -> str:
        """Changes with the content of the checkpoints and with how much each counts."""
        counts = {fingerprint_checkpoint(checkpoint): weight for checkpoint, weight in self.counts.items()}
        return fingerprint([self.series, counts])

    @cached_property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """All the way. Raises SapwoodError where a checkpoint is not what was written."""
        average = self.series == EMA
        states = [adapted_weights(self.recipe, self.backbone, path, average=average) for path in self.counts]
        return Average(states, list(self.counts.values()))

    def between(self, share: float) -> Mapping[str, torch.Tensor]:
        """A share of the way: (1 - share) * base model + share * weights.

        Raises SapwoodError where the weights are not those of the base model.
        """
        own = dict(load_model(self.backbone).named_parameters())
        if foreign := sorted(set(self.weights) - own.keys()):
            raise SapwoodError(f"The weights cannot be mixed with {self.backbone}, which has no '{foreign[0]}'.")
        return Average([self.weights, {name: own[name] for name in self.weights}], [share, 1 - share])

    def model(self, share: float) -> PreTrainedModel:
        """The model with the weights a share of the way, rounded to the type in which `write` stores them."""
        model = load_model(self.backbone)
        fill(model, self.between(share))
        return model

    def write(self, share: float, target: Path) -> None:
        """Writes the model with the weights a share of the way as a Hugging Face directory."""
        export(self.between(share), self.backbone, target, partial=not trains_all(self.recipe))
