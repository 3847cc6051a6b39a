from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.recipe.units import (
    Interval,
    format_rate,
    format_share,
    format_tokens,
    parse_bytes,
    parse_rate,
    parse_seconds,
    parse_share,
    parse_tokens,
    show_tokens,
)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("92.5B", 92_500_000_000),
        ("7.5B", 7_500_000_000),
        ("20M", 20_000_000),
        ("1e9", 10**9),
        (512, 512),
        ("8_192", 8192),
    ],
)
def test_tokens_are_exact(written: object, tokens: int) -> None:
    assert parse_tokens(written) == tokens


@pytest.mark.parametrize("written", ["92.5Q", "-3M", "", "B", True, None, "1.5", [1]])
def test_what_is_no_number_of_tokens_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expected a number of tokens"):
        parse_tokens(written)


@given(st.integers(min_value=0, max_value=10**14))
def test_formatted_tokens_read_back(tokens: int) -> None:
    assert parse_tokens(format_tokens(tokens)) == tokens


def test_formatted_tokens_are_short() -> None:
    assert [format_tokens(n) for n in (92_500_000_000, 61_440, 512, 0)] == ["92.5B", "61.44K", "512", "0"]
    assert [format_tokens(n) for n in (5_001_117_696, 15_737_500_000)] == ["5001117696", "15.7375B"]


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (5_001_117_696, "5.001B"),
        (Fraction(1526, 1000), "2"),
        (Fraction(1, 3), "<1"),
        (0, "0"),
        (23_040, "23.04K"),
        (15_737_500_000, "15.7375B"),
        (999_999_999, "1B"),
        (Fraction(10**12, 3), "333.3B"),
        (2**50, "1126T"),
    ],
)
def test_tokens_are_shown_as_people_write_them(tokens: Fraction, shown: str) -> None:
    assert show_tokens(tokens) == shown


def test_bytes_and_seconds_know_their_units() -> None:
    assert parse_bytes("4GiB") == 4 * 2**30
    assert parse_bytes("4GB") == 4 * 10**9
    assert parse_seconds("30min") == 1800
    assert parse_seconds("1.5h") == 5400


@pytest.mark.parametrize(
    ("written", "share"), [(7, Fraction(7)), (0.1, Fraction(1, 10)), ("20%", Fraction(1, 5)), ("1/3", Fraction(1, 3))]
)
def test_shares_are_exact(written: object, share: Fraction) -> None:
    assert parse_share(written) == share


@pytest.mark.parametrize("written", [-1, "x", "1/0", True, None])
def test_what_is_no_share_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expected a share"):
        parse_share(written)


@given(st.fractions(min_value=0, max_value=1000))
def test_formatted_shares_read_back(share: Fraction) -> None:
    assert parse_share(format_share(share)) == share


def test_intervals_keep_their_unit() -> None:
    assert Interval.parse("10B") == Interval(10**10, "tokens")
    assert Interval.parse("200 steps").tokens(batch_tokens=512) == 102_400
    assert Interval.parse("30min") == Interval(1800, "seconds")
    assert Interval.parse(4096) == Interval(4096, "tokens")
    for interval in (Interval(10**10, "tokens"), Interval(200, "steps"), Interval(90, "seconds")):
        assert Interval.parse(str(interval)) == interval
    with pytest.raises(ValueError, match="not a time"):
        Interval.parse("30min").tokens(batch_tokens=512)


@pytest.mark.parametrize(
    ("written", "rate"), [(1e-5, 1e-5), (0, 0.0), ("10%", Fraction(1, 10)), ("1/3", Fraction(1, 3)), ("final", "final")]
)
def test_rates_are_numbers_or_relative(written: object, rate: float | Fraction | str) -> None:
    assert parse_rate(written) == rate
    assert parse_rate(format_rate(rate)) == rate


@pytest.mark.parametrize("written", ["1e-5", -1e-5, float("inf"), float("nan"), True, None, "last", [1], "-10%"])
def test_what_is_no_rate_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expected a"):
        parse_rate(written)
