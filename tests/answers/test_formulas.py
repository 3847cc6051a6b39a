"""Formulas, both ways round: what math-verify takes for the same, or cannot find, is read by us first."""

from __future__ import annotations

import pytest

from sapwood.answers.equal import same_formula
from sapwood.answers.formulas import compare

pytest.importorskip("math_verify")

SAME = [
    ("\\frac{1}{2}", "0.5"),
    ("x^2-1", "(x-1)(x+1)"),
    ("5", "答案是5"),
    ("6.02\\times 10^{23}", "6.02×10^23"),
    ("6.02×10^23", "6.02e23"),
    ("x**2+1", "x^2+1"),
    ("x**3+1", "x³+1"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"),
    ("\\text{Evelyn}", "Evelyn"),
    ("\\text{(B)}", "B"),
    ("10,\\!080", "10080"),
    ("\\$32,\\!348", "32348"),
    ("x \\in [-2,7]", "[-2,7]"),
    ("5\\text{ cm}", "5"),
    ("(3, \\frac{\\pi}{2})", "\\left(3,\\frac{\\pi}{2}\\right)"),
    ("90^\\circ", "90"),
    ("50\\%", "50"),
    ("50\\%", "0.5"),
    ("{1,2}", "\\{2,1\\}"),
    ("1,2", "\\{1,2\\}"),
    ("-5", "−5"),
    ("y=2x+3", "2x+3"),
    ("2k+2", "2(k+1)"),
    ("\\sqrt{2}", "1.414"),
    ("[1,2)", "1 \\le x < 2"),
    ("5", "5.0"),
    ("\\pi", "3.14"),
    ("\\tan x", "\\frac{\\sin x}{\\cos x}"),
    ("2^{10}", "1024"),
    ("\\emptyset", "∅"),
    ("12.5万", "125000"),
    ("三十二", "32"),
    ("(1,2)∪(3,4)", "(1,2)\\cup(3,4)"),
    ("1/3", "0.333"),
    ("5", "\\text{五}"),
    ("6:5", "6:5"),
    ("-\\frac{1}{2}", "\\frac{-1}{2}"),
    ("3\\frac12", "3.5"),
    ("1 \\pm \\sqrt{2}", "1+\\sqrt2, 1-\\sqrt2"),
    ("\\ln 2", "ln(2)"),
    ("\\binom{5}{2}", "10"),
    ("5!", "120"),
]

OTHER = [
    ("(1,2)", "\\{1,2\\}"),
    ("(1,2)", "{1,2}"),
    ("[1,2]", "\\{1,2\\}"),
    ("[1,2]", "(1,2)"),
    ("(1,2)", "(2,1)"),
    ("x**2+1", "x**3+1"),
    ("x^2+1", "x^3+1"),
    ("6.02×10^23", "6.02"),
    ("6.02\\times 10^{23}", "6.02"),
    ("6.02e23", "6.02e22"),
    ("5", "答案是6"),
    ("12", "13"),
    ("−5", "5"),
    ("x<3", "x>3"),
    ("x<3", "x\\le 3"),
    ("(1,2)", "[1,2)"),
    ("\\{1,2\\}", "\\{1,3\\}"),
    ("silent", "listen"),
    ("5 km", "5 m"),
    ("2x", "x^2"),
    ("1e3", "1e4"),
    ("2^{10}", "1023.5"),
    ("x_1", "x_2"),
    ("\\sqrt{2}", "\\sqrt{3}"),
    ("(1,2)\\cup(3,4)", "(1,4)"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"),
    ("(1,2,3)", "\\{1,2,3\\}"),
    ("1/3", "0.3"),
    ("30-12", "12"),
    ("30-12", "-12"),
    ("1e-7", "2e-7"),
    ("\\pi", "3"),
    ("{1,2}", "{1,2,3}"),
    ("(0,1]", "(0,1)"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_same(one: str, two: str) -> None:
    assert same_formula(one, two)
    assert same_formula(two, one)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_not_the_same(one: str, two: str) -> None:
    assert not same_formula(one, two)
    assert not same_formula(two, one)


@pytest.mark.parametrize("text", ["所以答案是5。", "答案是5，因为2+3=5", "The answer is $5$.", r"So we get \boxed{5}."])
def test_a_stated_answer_is_found(text: str) -> None:
    assert same_formula("5", text)
    assert not same_formula("3", text)


def test_of_an_integer_nothing_is_rounded() -> None:
    assert compare("2^{10}", "1024.0") is True
    assert compare("2^{10}", "1023.5") is False
