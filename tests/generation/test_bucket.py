from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.generation.bucket import Bucket


@given(
    per_minute=st.integers(1, 100_000),
    amounts=st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 30)), min_size=1, max_size=60),
)
def test_no_minute_sees_much_more_than_the_limit(per_minute: int, amounts: list[tuple[float, float]]) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, []
    for amount, idle in amounts:
        now += idle
        now += bucket.wait(amount, now)
        bucket.take(amount, now)
        taken.append((now, amount))
    most = per_minute + max(1.0, per_minute / 60) + max(amount for amount, _ in amounts)
    for start, _ in taken:
        within = sum(amount for at, amount in taken if start <= at < start + 60)
        assert within <= most * (1 + 1e-6) + 1e-6


@given(per_minute=st.integers(1, 100_000), count=st.integers(1, 200))
def test_the_limit_is_used_up(per_minute: int, count: int) -> None:
    bucket, now = Bucket(per_minute, 0.0), 0.0
    for _ in range(count):
        now += bucket.wait(1, now)
        bucket.take(1, now)
    assert now <= count / per_minute * 60 + 1e-6


def test_what_is_put_back_can_be_taken() -> None:
    bucket = Bucket(60, 0.0)
    bucket.take(31, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(31)
    bucket.take(-30, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(1)
    bucket.take(-1000, 0.0)
    bucket.take(1, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(1)  # it never holds more than a second's worth
