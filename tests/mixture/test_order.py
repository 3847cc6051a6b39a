from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.mixture.order import permute, shuffled_window


@given(st.integers(min_value=1, max_value=700), st.text(max_size=5))
def test_a_permutation_visits_everything_once(size: int, key: str) -> None:
    assert sorted(permute(index, size, key) for index in range(size)) == list(range(size))


def test_it_is_far_from_the_identity_and_differs_by_key() -> None:
    one = [permute(index, 1000, "one") for index in range(1000)]
    two = [permute(index, 1000, "two") for index in range(1000)]
    assert sum(image == index for index, image in enumerate(one)) < 10
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 10


def test_large_domains_cost_nothing() -> None:
    assert 0 <= permute(123_456_789, 10**12, "key") < 10**12


@given(st.integers(min_value=1, max_value=50), st.integers(min_value=1, max_value=5))
def test_every_epoch_visits_its_own_windows_once(per_epoch: int, epochs: int) -> None:
    windows = [shuffled_window(number, per_epoch, "k") for number in range(per_epoch * epochs)]
    for epoch in range(epochs):
        part = windows[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(part) == list(range(epoch * per_epoch, (epoch + 1) * per_epoch))


def test_indices_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="not in range"):
        permute(5, 5, "k")
