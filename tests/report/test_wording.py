from __future__ import annotations

import math

import pytest

from sapwood.report.wording import (
    confidence,
    count,
    duration,
    interval,
    listed,
    number,
    p_value,
    rate,
    score,
    score_change,
    short,
    signed,
    size,
)
from sapwood.statistics.change import BITS_PER_BYTE, SCORE


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(1.6124), "1.612"),
        (number(-0.4), "−0.400"),
        (number(-0.0001), "0.000"),
        (number(math.nan), "–"),
        (number(-math.inf), "−∞"),
        (signed(0.01), "+0.010"),
        (signed(0.0001), "0.000"),
        (count(1_234_567), "1,234,567"),
        (short(983_040), "983K"),
        (short(92_500_000_000), "92.5B"),
        (short(999_999), "1M"),
        (short(512), "512"),
        (short(0), "0"),
        (rate(1e-5), "1e-5"),
        (rate(0.0005), "0.0005"),
        (confidence(0.95), "95%"),
        (confidence(0.995), "99.5%"),
        (interval((0.3736, 0.4314)), "+0.374 to +0.431"),
        (interval((-0.0151, 0.02), SCORE), "−1.5 to +2.0"),
        (score(0.6254), "62.5"),
        (score(1.6124, BITS_PER_BYTE), "1.612"),
        (score_change(0.015), "+1.5"),
        (score_change(-0.4, BITS_PER_BYTE), "−0.400"),
        (p_value(0.0312), "0.031"),
        (p_value(0.0004), "<0.001"),
        (interval((-math.inf, math.inf)), "unknown"),
        (duration(5.04), "5.0 s"),
        (duration(1290), "21 min 30 s"),
        (duration(7200), "2 h"),
        (duration(90_061), "1 d 1 h"),
        (duration(59.9), "1 min"),
        (size(900), "900 B"),
        (size(3_328_599_654), "3.1 GiB"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_are_shown_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected
