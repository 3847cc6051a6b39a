"""What the guard leaves out: what is not finite, and what jumps."""

from __future__ import annotations

import math

import pytest
import torch

from sapwood.recipe.schema import Guard
from sapwood.training.guard import Watch


def judge(watch: Watch, loss: float, norm: float = 1.0) -> bool:
    return bool(watch.judge(torch.tensor(loss), torch.tensor(norm)))


def settled(**settings: object) -> Watch:
    """One that has seen 16 quiet steps, the loss between 1.9 and 2.1."""
    watch = Watch(Guard(window=16, **settings), torch.device("cpu"))
    for step in range(16):
        assert not judge(watch, 2.0 + 0.1 * (-1) ** step)
    return watch


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_skipped_from_the_first_step(value: float) -> None:
    watch = Watch(Guard(), torch.device("cpu"))
    assert judge(watch, value)
    assert judge(watch, 2.0, abs(value))
    assert not judge(watch, 2.0)


def test_a_jump_is_skipped_and_a_ripple_is_not() -> None:
    watch = settled()
    assert not judge(watch, 2.3)
    assert judge(watch, 4.0)
    assert judge(settled(), 2.0, norm=3.0)


def test_a_fall_is_no_jump() -> None:
    assert not judge(settled(), 0.1)


def test_nothing_is_a_jump_before_the_window_is_full() -> None:
    watch = Watch(Guard(window=16), torch.device("cpu"))
    for _ in range(15):
        judge(watch, 2.0)
    assert not judge(watch, 100.0)


def test_without_a_threshold_only_what_is_not_finite_counts() -> None:
    watch = settled(threshold=None)
    assert not judge(watch, 1e6)
    assert judge(watch, math.nan)


def test_a_lasting_change_is_got_used_to() -> None:
    watch = Watch(Guard(window=128), torch.device("cpu"))
    for step in range(128):
        judge(watch, 2.0 + 0.05 * (-1) ** step)
    skipped = [judge(watch, 3.0 + 0.05 * (-1) ** step) for step in range(50)]
    assert 1 <= sum(skipped) <= 8
    assert not any(skipped[8:])


def test_what_is_not_finite_is_not_remembered() -> None:
    watch = settled()
    for _ in range(5):
        judge(watch, math.nan)
    assert judge(watch, 4.0)
    assert watch.tensors["guard/history"].isfinite().all()


def test_memory_that_is_saved_and_put_back_goes_on() -> None:
    watch = settled()
    other = Watch(Guard(window=16), torch.device("cpu"))
    for name, tensor in other.tensors.items():
        tensor.copy_(watch.tensors[name])
    assert judge(other, 4.0)
