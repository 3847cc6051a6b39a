from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.answers.equal import is_comparable, same_answers
from sapwood.answers.reading import read_answer

pytestmark = pytest.mark.slow

pytest.importorskip("math_verify")

SAME = [
    ("5", "5.0"),
    ("1/2", "0.5"),
    ("½", r"\frac12"),
    ("3 1/2", "3.5"),
    ("1,000", "1000"),
    (r"1\,000", "1000"),
    ("50%", "0.5"),
    (r"50\%", "50"),
    ("1.6e-19 C", "1.602×10⁻¹⁹ C"),
    ("$5$ m/s", r"5 \text{ m/s}"),
    ("5 km", "5000 m"),
    ("5 m", "5"),
    ("5m", "5 m"),
    ("36 km/h", "10 m/s"),
    ("10 kΩ", "10000 ohms"),
    ("5 μm", "5e-6 m"),
    ("约5米", "5 m"),
    ("３米／秒", "3 m/s"),
    (r"25^\circ\text{C}", "25 ℃"),
    ("x = 5", "5"),
    (r"\boxed{42}", "The answer is 42."),
    ("答案是：42", "42"),
    ("√2", "1.414"),
    (r"2\sqrt{2} cm", "0.02828 m"),
    ("(x+1)^2", "x^2+2x+1"),
    ("x**2", "x²"),
    ("2πr", r"2\pi r"),
    ("sin(x)^2 + cos(x)^2", "1"),
    ("[0, 1)", r"0 \le x < 1"),
    ("(-∞, 3)", "x<3"),
    ("x=2 or x=-3", "-3, 2"),
    ("{1, 2, 3}", "3,2,1"),
    ("2和3", "3, 2"),
    ("F=ma", "F = m a"),
    ("H2O", r"\text{H}_2\text{O}"),
    ("Na^+", "Na⁺"),
    ("SO_4^{2-}", "SO₄²⁻"),
    ("12/2", "6"),
    ("The Cell Wall", "cell wall."),
    ("well-known", "well known"),
    ("α-decay", "alpha decay"),
    ("北京", " “北京”。"),
    ("Yes", "yes"),
]
OTHER = [
    ("5", "6"),
    ("1914", "1915"),
    ("5 km", "5 m"),
    ("5 kg", "5 m"),
    ("100 °C", "100 °F"),
    ("5 apples", "5 oranges"),
    ("1.6e-19", "2e-19"),
    ("-3", "3"),
    ("12", "1.2"),
    ("1.5", "15"),
    ("5m", "5"),
    ("2x", "2"),
    ("x+1", "x-1"),
    ("(0,1)", "[0,1]"),
    ("x<3", "x>3"),
    ("1914-1918", "1918-1922"),
    ("3-5 days", "1-3 days"),
    ("Na+", "Na"),
    ("C++", "C"),
    ("A", "B"),
    ("Paris", "London"),
    ("In 1914, Paris", "In 1914, London"),
    ("vitamin A", "vitamin"),
    ("", ""),
    ("42", ""),
    ("1/0", "5"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_same(one: str, two: str) -> None:
    assert same_answers(one, two)
    assert same_answers(two, one)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_not_the_same(one: str, two: str) -> None:
    assert not same_answers(one, two)
    assert not same_answers(two, one)


@pytest.mark.parametrize("one", [one for pair in SAME for one in pair])
def test_an_answer_is_the_same_as_itself(one: str) -> None:
    assert same_answers(one, f" {one}\n")


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_the_same_only_if_they_are_equal(one: int, two: int) -> None:
    assert same_answers(str(one), f"{two:,}") == (one == two)


@given(st.integers(0, 10000), st.integers(1, 999), st.sampled_from(["{}/{}", "{} / {}", r"\frac{{{}}}{{{}}}"]))
def test_fractions_are_what_they_say(over: int, under: int, written: str) -> None:
    number = read_answer(written.format(over, under)).number
    assert number is not None
    assert (number.value, number.exact) == (Fraction(over, under), True)


@given(*[st.integers(1, 99)] * 3, st.sampled_from(["{} {}/{}", r"{}\frac{{{}}}{{{}}}"]))
def test_mixed_numbers(whole: int, over: int, under: int, written: str) -> None:
    number = read_answer(written.format(whole, over, under)).number
    assert number is not None
    assert number.value == whole + Fraction(over, under)


@given(st.floats(1e-30, 1e30), st.floats(-0.02, 0.02).filter(lambda share: abs(abs(share) - 0.0025) > 1e-4))
def test_decimals_may_differ_by_a_quarter_of_a_per_cent(value: float, share: float) -> None:
    assert same_answers(f"{value:.12e}", f"{value * (1 + share):.12e}") == (abs(share) < 0.0025)


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_whatever_models_write_is_compared(one: str, two: str) -> None:
    assert same_answers(one, two) == same_answers(two, one)


@pytest.mark.parametrize(
    ("answer", "comparable"),
    [
        ("42 km", True),
        ("Paris", True),
        ("the wall of the cell", True),
        ("The mitochondrion is where the cell turns sugar into energy", False),
        ("线粒体", True),
        ("光合作用是植物利用光能把二氧化碳和水变成有机物的过程", False),
        (r"x^2+2xy+y^2+2x+2y+1+\frac{1}{x+1}+\frac{1}{x+2}+\frac{1}{x+3}", True),
        ("x=1, y=2, z=3, w=4, u=5, v=6, t=7, s=8 +* 9", False),
        ("", False),
        ("。", False),
    ],
)
def test_what_can_be_compared(answer: str, comparable: bool) -> None:
    assert is_comparable(answer) == comparable


def test_from_another_thread() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(same_answers("(y+1)^2", "y^2+2y+1")))
    thread.start()
    thread.join()
    assert found == [True]
