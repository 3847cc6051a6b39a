from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.recipe.schema import DecayShape
from sapwood.training.average import Average, decay_weights
from sapwood.training.schedule import remaining

SHAPES = st.sampled_from(get_args(DecayShape))
PLACES = st.lists(st.integers(1, 10**6), min_size=1, max_size=12).map(lambda gaps: np.cumsum(gaps).tolist())
"""Where some checkpoints lie, in tokens; not the same number of them between all."""


@given(PLACES, SHAPES)
def test_weights_are_shares_of_one(places: list[int], shape: DecayShape) -> None:
    weights = decay_weights(places, shape)
    assert len(weights) == len(places)
    assert min(weights) >= -1e-12
    assert sum(weights) == pytest.approx(1)


@given(st.integers(1, 50), st.integers(1, 10**9))
def test_a_linear_decay_is_nearly_the_mean(intervals: int, tokens: int) -> None:
    ends, *inner, last = decay_weights([tokens * place for place in range(intervals + 1)], "linear")
    assert [ends, last] == pytest.approx([1 / (2 * intervals)] * 2)
    assert inner == pytest.approx([1 / intervals] * (intervals - 1))


def test_a_steep_decay_trusts_early_checkpoints_more() -> None:
    places = list(range(9))
    linear, steep = decay_weights(places, "linear"), decay_weights(places, "1-sqrt")
    assert sum(steep[:3]) > sum(linear[:3]) + 0.1
    assert steep[-1] < linear[-1]


@given(PLACES, SHAPES, st.integers(0, 2**32 - 1))
def test_the_sum_is_where_decayed_updates_lead(places: list[int], shape: DecayShape, seed: int) -> None:
    """Checked against the updates themselves: of one size between two checkpoints, each multiplied by what remains."""
    chance = np.random.default_rng(seed)
    per_token = chance.normal(size=len(places) - 1)
    lengths = np.diff(places)
    states = np.cumsum([chance.normal(), *(per_token * lengths)])

    decayed, begin, whole = states[0], places[0], places[-1] - places[0]
    for update, start, length in zip(per_token, places, lengths, strict=False):
        moments = start + (np.arange(2000) + 0.5) / 2000 * length
        decayed += update * length * np.mean([remaining(shape, (moment - begin) / whole) for moment in moments])
    scale = np.abs(per_token * lengths).sum() if len(lengths) else 1.0
    assert np.dot(decay_weights(places, shape), states) == pytest.approx(
        decayed, abs=1e-5 * scale + 1e-9 * abs(states[0])
    )


class Read(Mapping[str, torch.Tensor]):
    """Tensors that say which of them were read."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        self.tensors = tensors
        self.read: list[str] = []

    def __getitem__(self, name: str) -> torch.Tensor:
        self.read.append(name)
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def test_an_average_reads_one_tensor_at_a_time_and_adds_in_fp32() -> None:
    one = Read(a=torch.tensor([256.0, 3.0], dtype=torch.bfloat16), b=torch.ones(2))
    other = Read(a=torch.tensor([1.0, 5.0], dtype=torch.bfloat16), b=torch.zeros(2))
    average = Average([one, other], [0.5, 0.5])
    assert list(average) == ["a", "b"]
    assert "a" in average
    assert "c" not in average
    assert (one.read, other.read) == ([], [])
    assert average["a"].tolist() == [128.5, 4.0]  # bf16 has no 128.5
    assert (one.read, other.read) == (["a"], ["a"])
    assert one.tensors["a"].tolist() == [256.0, 3.0]


def test_what_counts_nothing_is_not_read() -> None:
    whole, nothing = Read(a=torch.tensor([0.1])), Read(a=torch.tensor([float("inf")]))
    assert torch.equal(Average([whole, nothing], [1.0, 0.0])["a"], whole.tensors["a"])
    assert nothing.read == []


def test_states_of_other_weights_are_not_averaged() -> None:
    with pytest.raises(SapwoodError, match="not all states have a 'b'"):
        Average([Read(a=torch.ones(1)), Read(a=torch.ones(1), b=torch.ones(1))], [0.5, 0.5])
