from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.answers.units import parse_unit


def factor(one: str, two: str) -> Fraction | None:
    first, second = parse_unit(one), parse_unit(two)
    assert first is not None, one
    assert second is not None, two
    return first.in_terms_of(second)


@pytest.mark.parametrize(
    ("one", "two", "times"),
    [
        ("km", "m", 1000),
        ("m/s", "km/h", "18/5"),
        ("m s^-1", "m/s", 1),
        ("metres per second", "米/秒", 1),
        ("米每秒", "m/s", 1),
        ("千克/立方米", "kg/m^3", 1),
        ("square metres", "m^{2}", 1),
        ("平方米", "m²".replace("²", "^2"), 1),
        ("J/(kg·K)", "J kg^-1 K^-1", 1),
        ("J/kg K", "J·K/kg", 1),
        ("N·m", "J", 1),
        ("kWh", "J", 3600000),
        ("kJ/mol", "J/mol", 1000),
        ("eV", "J", "1.602176634e-19"),
        ("mmHg", "Pa", "133.322387415"),
        ("dm^3", "L", 1),
        ("mg", "g", "1/1000"),
        ("Mg", "g", 1000000),
        ("kilometers", "km", 1),
        ("千米", "公里", 1),
        ("minutes", "分钟", 1),
        ("days", "天", 1),
        ("degrees", "°", 1),
        ("\\%", "%", 1),
        ("apples", "apple", 1),
        ("个", "个苹果", 1),
    ],
)
def test_conversion(one: str, two: str, times: int | str) -> None:
    assert factor(one, two) == Fraction(times)
    assert factor(two, one) == 1 / Fraction(times)


@pytest.mark.parametrize(
    ("one", "two"), [("m", "s"), ("°C", "K"), ("°C", "°F"), ("s", "S"), ("m", "m^2"), ("m", "apples"), ("dogs", "cats")]
)
def test_what_cannot_be_converted(one: str, two: str) -> None:
    assert factor(one, two) is None


@pytest.mark.parametrize("text", ["", "x", "+ 3", "sin x", "/s", "m/", "(m", "m)", "m^99", "and", "one two three four"])
def test_no_unit(text: str) -> None:
    assert parse_unit(text) is None


@given(st.text(alphabet="mskgNJ/·^23()- 米秒", max_size=20))
def test_whatever_is_read_is_as_much_as_itself(text: str) -> None:
    unit = parse_unit(text)
    assert unit is None or unit.in_terms_of(unit) == 1


def test_shares_have_no_dimension() -> None:
    assert parse_unit("%").share == Fraction(1, 100)
    assert parse_unit("m").share is None
    assert parse_unit("apples").share is None
