"""Numbers in texts, both ways round: the right one is accepted, and a wrong one is not."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.answers.equal import same_number
from sapwood.answers.find import last_number
from sapwood.answers.numbers import find_numbers, parse_number

# What is asked for, and what the model writes.
RIGHT = [
    ("-5", "The answer is -5."),
    ("-5", "So the temperature is −5 degrees."),
    ("-40", "-$40"),
    ("-40", "$-40"),
    ("-40", "−US$40"),
    ("1200", "1.2e3"),
    ("1200", "1.2 × 10^3 steps"),
    ("1234", "共１，２３４元"),
    ("125000", "一共12.5万元"),
    ("12500", "12 500 m"),
    ("1234.5", "$1,234.50."),
    ("32", "一共三十二个"),
    ("105", "答案是一百零五"),
    ("12000", "1.2万"),
    ("300000000", "3亿"),
    ("0.5", "50%"),
    ("50", "50%"),
    ("50%", "0.5"),
    ("30", "百分之三十"),
    ("0.75", "3/4"),
    ("0.5", "½"),
    ("3.5", "3½"),
    ("14", "14 apples"),
    ("-5", "负五"),
    ("-5", "minus 5"),
    ("-5", "负5"),
    ("-5", "零下5度"),
    ("6.02e23", "6.02×10^{23}"),
    ("1500000", "$1.5M"),
    ("1200000", "1.2 million"),
    ("1e23", "10^23"),
    ("43.0", "43"),
    ("8.6667", "8.67"),
    ("1000", "1,000"),
    ("1000", "1'000"),
    ("-5", "－５"),
    ("-3", "It is –3"),
    ("2/3", "三分之二"),
    ("12.5万", "125000"),
    ("12.5万元", "12.5万"),
    ("12.5万元", "125000元"),
    ("5", "5."),
    ("1000000", "1 000 000"),
    ("5", "**5**"),
    ("5", "$5$"),
    ("5", "5元"),
    ("5", "五"),
    ("70000", "7万"),
    ("1234567.89", "1.234.567,89"),
    ("5", "x = 5"),
    ("0.003", "3‰"),
    ("-0.5", "-½"),
    ("-7", "−7°C"),
    ("150000000", "1.5亿"),
    ("1.5e-3", "0.0015"),
    ("0.1", "10%"),
    (".5", "0.5"),
    ("42", "The total is 42!"),
    ("18", "30-12 = 18"),
]

WRONG = [
    ("5", "−5"),
    ("40", "-$40"),
    ("40", "−$40"),
    ("3", "1.2e3"),
    ("1.2", "1.2e3"),
    ("12", "30-12"),
    ("-12", "30-12"),
    ("30", "30-12"),
    ("12.5", "12.5万元"),
    ("6.02", "6.02×10^23"),
    ("23", "10^23"),
    ("10", "10^23"),
    ("500", "12 500 m"),
    ("5", "5/0"),
    ("18", "18.001"),
    ("5", "30 - 5"),
    ("30", "3:30"),
    ("3", "3:30"),
    ("6", "2024-05-06"),
    ("5", "5-10"),
    ("10", "5-10"),
    ("8.6667", "8.7"),
    ("32", "三十三"),
    ("3", "三十"),
    ("2", "二十"),
    ("100", "一百零五"),
    ("1.2", "1.2万"),
    ("234", "1,234"),
    ("2", "1/2"),
    ("1", "1/2"),
    ("0.3", "三分之二"),
    ("5", "-5"),
    ("-5", "5"),
    ("5", "负五"),
    ("3", "3亿"),
    ("50", "0.5"),
    ("4", "3×4"),
    ("2", "H2O"),
    ("1", "第一"),
    ("1200", "1.201e3"),
    ("99.5", "99.9"),
    ("3.14", "3.15"),
    ("1.5", "$1.5M"),
    ("0.05", "5"),
]


@pytest.mark.parametrize(("gold", "text"), RIGHT)
def test_right(gold: str, text: str) -> None:
    assert same_number(gold, last_number(text) or "")
    assert same_number(gold, text)


@pytest.mark.parametrize(("gold", "text"), WRONG)
def test_wrong(gold: str, text: str) -> None:
    assert not same_number(gold, last_number(text) or "")
    assert not same_number(gold, text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("On May 5, 2024 at 3:30 he paid 12 dollars", ["12"]),
        ("2024年5月6日", []),
        ("192.168.1.1", []),
        ("CO2, x_1 and x^2", []),
        (r"\sqrt2", []),
        ("COVID-19", ["19"]),
        ("- 5 apples", ["5"]),
        ("x = - 5", ["- 5"]),
        ("30 minus 12", ["30 minus 12"]),
        ("5 to 10", ["5", "10"]),
        ("第十二题有三十个空", ["三十"]),
        ("千万不要万一十分一起", []),
        ("两三百", []),
        ("他有一个苹果", []),
        ("他共有三个苹果", ["三"]),
        ("5千米，3千克", ["5", "3"]),
    ],
)
def test_what_counts_as_a_number(text: str, numbers: list[str]) -> None:
    assert [found.text for found in find_numbers(text)] == numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("十", 10), ("十五", 15), ("二十", 20), ("一百五", 150), ("一百零五", 105), ("一千零一", 1001),
        ("两万五千", 25000), ("十五万", 150000), ("三点五", Fraction(7, 2)), ("三点五万", 35000),
        ("1亿2000万", 120000000), ("3亿5千万", 350000000), ("1.2万亿", 1200000000000), ("二〇二四", 2024),
        ("三分之二", Fraction(2, 3)), ("负三十", -30), ("壹佰贰拾", 120),
        ("萬", None), ("三四十", None), ("千万", None),
    ],
)  # fmt: skip
def test_chinese_numerals(text: str, value: Fraction | int | None) -> None:
    number = parse_number(text)
    assert (number and number.value) == value


_DIGITS = "零一二三四五六七八九"


def _in_chinese(number: int) -> str:
    """As it is said, of numbers below a hundred million."""
    high, low = divmod(number, 10000)
    if high:
        rest = "" if not low else ("零" if low < 1000 else "") + _in_chinese(low)
        return f"{_in_chinese(high)}万{rest}"
    text, zero = "", False
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + sign
        zero = not digit
    return text or "零"


@given(st.integers(0, 99999999))
def test_every_chinese_numeral(number: int) -> None:
    found = parse_number(_in_chinese(number))
    assert found is not None
    assert found.value == number


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{:,}", "{:_}", "{}", "${:,}", "{}.0", "So it is {:,}."]))
def test_integers_are_what_they_say(number: int, written: str) -> None:
    text = written.format(number)
    assert same_number(str(number), last_number(text) or "")
    assert not same_number(str(number + 1), last_number(text) or "")


@given(st.text(alphabet="0123456789.,-−–/ ×^{}e%$十百万点一三分之负\\frac", max_size=40))
def test_nothing_that_a_model_writes_breaks_the_reader(text: str) -> None:
    find_numbers(text)
    same_number("3", text)


def test_what_is_too_long_is_no_number() -> None:
    for text in ("1" * 100_000, "百" * 10_000, "a" * 100_000, "零" * 10_000, "1.2.3." * 5_000):
        assert not [found for found in find_numbers(text) if found.number is not None]
