"""Whether two answers are the same, in whatever way each is written."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from sapwood.answers.find import stated
from sapwood.answers.grader import grader
from sapwood.answers.numbers import find_numbers
from sapwood.answers.reading import Reading, read_answer

PHRASE_WORDS = 8
"""The longest answer in words that can be compared; two Han characters count as a word."""


def same_answers(given: str, other: str) -> bool:
    """Whether an answer is the one that was given.

    Numbers are equal when they differ by less than `TOLERANCE`, integers and fractions when they are the same; units
    must be convertible where both have one. Formulas, intervals and sets go to math-verify. All else is compared word
    by word, without case, width, punctuation and articles.

    Raises SapwoodError where math-verify is needed and not installed.
    """
    ours, theirs = _read(given), _read(other)
    if ours.formula and theirs.formula:
        equal = _same_formulas(ours, theirs)
        if equal is not None:
            return equal
    return bool(ours.words) and ours.words == theirs.words


def same_text(right: str, given: str) -> bool:
    """Whether two texts are the same but for case, width, surrounding space and a full stop at their end."""
    return _plain(right) == _plain(given)


def same_number(right: str, given: str) -> bool:
    """Whether the number that is given, or the first one in it, is the right one.

    Numbers are compared as by `same_answers`. Where the right answer is no number but `3:30` or `yes`, the two are
    compared as texts.
    """
    ours, theirs = _read(right), _read(given)
    if ours.number is None:
        return same_text(right, given)
    if theirs.number is None:
        found = find_numbers(given.rpartition("=")[2])
        theirs = _read(found[0].text) if found else theirs
    if theirs.number is None:
        return False
    return any(ours.number.equals(theirs.number, factor) for factor in _factors(ours, theirs, sure=True))


def same_formula(right: str, given: str) -> bool:
    """Whether the formula that is given, or that a text states as its answer, is the right one.

    Formulas are compared as by `same_answers`. Raises SapwoodError where math-verify is not installed.
    """
    return same_answers(stated(right) or right, stated(given) or given)


def is_comparable(answer: str) -> bool:
    """Whether it makes sense to compare other answers with this one: it is a number, a formula or a short phrase."""
    if sum(0.5 if _HAN.match(word) else 1 for word in _WORD.findall(answer)) <= PHRASE_WORDS:
        return bool(_read(answer).words)
    formula = _read(answer).formula
    return bool(formula) and grader().is_formula(formula)


def _same_formulas(ours: Reading, theirs: Reading) -> bool | None:
    """None where one of the two is no formula after all."""
    factors = _factors(ours, theirs)
    # math-verify takes the interval or the pair (1,2) for the set {1,2}.
    if not factors or {_enclosure(ours.formula), _enclosure(theirs.formula)} == {"set", "order"}:
        return False
    if ours.number is not None and theirs.number is not None:
        return any(ours.number.equals(theirs.number, factor) for factor in factors)
    compact = [re.sub(r"\s+", "", reading.formula) for reading in (ours, theirs)]
    verdicts = []
    for factor in factors:
        if factor == 1 and compact[0] == compact[1]:
            return True
        verdicts.append(_compare(_times(factor, ours.formula), theirs.formula))
    return None if None in verdicts else any(verdicts)


def _factors(ours: Reading, theirs: Reading, *, sure: bool = False) -> list[Fraction]:
    """By what the first value may be multiplied to be in the unit of the second; nothing where they do not fit.

    A unit that one of the two does not mention is that of the other. A share may be written as it is: 50% is 0.5.
    `sure` takes `5m` for a number with a unit.
    """
    if ours.unit is None and theirs.unit is None:
        return [Fraction(1)]
    if ours.unit is not None and theirs.unit is not None:
        factor = ours.unit.in_terms_of(theirs.unit)
        return [] if factor is None else [factor]
    if not (sure or (ours.unit_is_sure and theirs.unit_is_sure)):
        return []
    shares = [ours.unit and ours.unit.share, theirs.unit and theirs.unit.share and 1 / theirs.unit.share]
    return [Fraction(1), *(share for share in shares if share)]


def _enclosure(formula: str) -> str | None:
    """`set` for what stands in braces, `order` for an interval, a pair or a tuple."""
    if _SET.fullmatch(formula):
        return "set"
    return "order" if _ORDER.fullmatch(formula) else None


def _times(factor: Fraction, formula: str) -> str:
    return formula if factor == 1 else rf"\frac{{{factor.numerator}}}{{{factor.denominator}}} \cdot ({formula})"


@lru_cache(maxsize=1 << 16)
def _read(answer: str) -> Reading:
    return read_answer(answer)


@lru_cache(maxsize=1 << 16)
def _compare(given: str, other: str) -> bool | None:
    return grader().compare(given, other)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".。")


_SET = re.compile(r" *(?:\\\{|\{).*(?:\\\}|\}) *")
_ORDER = re.compile(r" *[(\[][^()\[\]]*,.*[)\]] *")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_WORD = re.compile(rf"{_HAN.pattern}|(?:(?!{_HAN.pattern})[^\W_])+")
