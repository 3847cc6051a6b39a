from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sapwood.training.rounding import round_stochastically

pytestmark = pytest.mark.slow

STEP = torch.tensor(3.0)


def rounded_at(values: torch.Tensor, start: int, step: torch.Tensor, seed: int) -> torch.Tensor:
    key = torch.tensor(seed & 0x7FFFFFFF, dtype=torch.int32)
    return round_stochastically(values, torch.tensor(start), step, key)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50), st.integers(0, 2**40))
def test_what_comes_out_is_a_neighbour(numbers: list[float], seed: int) -> None:
    values = torch.tensor(numbers)
    rounded = rounded_at(values, 0, STEP, seed).float()
    towards_zero = (values.view(torch.int32) & -0x10000).view(torch.float32)
    away = ((values.view(torch.int32) & -0x10000) + 0x10000).view(torch.float32)
    exact = towards_zero == values
    assert torch.equal(rounded[exact], values[exact])
    assert ((rounded == towards_zero) | (rounded == away)).all()


def test_the_mean_is_kept() -> None:
    # bf16 has 1 and 1 + 1/128; three tenths of the way up, and as far below 0
    for value in (1 + 0.3 / 128, -1 - 0.3 / 128):
        for seed in range(3):
            rounded = rounded_at(torch.full((200_000,), value), 0, STEP, seed).double()
            # 5 standard errors: 1/128 * sqrt(0.3 * 0.7 / 200,000)
            assert abs(rounded.mean() - value) < 5 / 128 * (0.21 / 200_000) ** 0.5


def test_one_entry_is_kept_over_many_steps() -> None:
    value = torch.tensor([[1 + 0.3 / 128]])
    for place in (0, 1, 77, 10**9):
        rounded = [float(rounded_at(value, place, torch.tensor(float(step)), 5)) for step in range(4000)]
        assert abs(sum(rounded) / 4000 - float(value)) < 5 / 128 * (0.21 / 4000) ** 0.5


def test_parts_are_rounded_as_the_whole_is() -> None:
    values = torch.linspace(0, 1, 600).view(20, 30)
    expected = rounded_at(values, 0, STEP, 1)
    parts = [rounded_at(values[start : start + 7], start * 30, STEP, 1) for start in (0, 7, 14)]
    assert torch.equal(torch.cat(parts), expected)


def test_steps_and_seeds_round_differently() -> None:
    values = torch.full((10_000,), 1 + 0.5 / 128)
    first = rounded_at(values, 0, STEP, 1) > 1
    for other in (rounded_at(values, 0, STEP + 1, 1), rounded_at(values, 0, STEP, 2)):
        assert 0.45 < ((other > 1) == first).float().mean() < 0.55
    assert 0.45 < (first[1:] == first[:-1]).float().mean() < 0.55
