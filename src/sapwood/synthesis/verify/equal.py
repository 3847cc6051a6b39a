"""Whether two answers are the same, in whatever way each is written."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from sapwood.corpus.ngrams import is_han, tokenise
from sapwood.synthesis.verify.grader import grader
from sapwood.synthesis.verify.reading import Reading, read_answer

PHRASE_WORDS = 8
"""The longest answer in words that can be compared; two Han characters count as a word."""


def same_answers(given: str, other: str) -> bool:
    """Whether an answer is the one that was given.

    Numbers are equal when they differ by half a per cent, integers and fractions when they are the same; units must be
    convertible where both have one. Formulas, intervals and sets go to math-verify. All else is compared word by word,
    without case, width, punctuation and articles. Raises SapwoodError where math-verify is needed and not installed.
    """
    ours, theirs = _read(given), _read(other)
    if ours.formula and theirs.formula:
        equal = _same_formulas(ours, theirs)
        if equal is not None:
            return equal
    return bool(ours.words) and ours.words == theirs.words


def is_comparable(answer: str) -> bool:
    """Whether it makes sense to compare other answers with this one: it is a number, a formula or a short phrase."""
    tokens = tokenise(answer)
    han = int(is_han(answer, tokens).sum())
    if len(tokens.starts) - han + han / 2 <= PHRASE_WORDS:
        return bool(_read(answer).words)
    formula = _read(answer).formula
    return bool(formula) and grader().is_formula(formula)


def _same_formulas(ours: Reading, theirs: Reading) -> bool | None:
    """None where one of the two is no formula after all."""
    factors = _factors(ours, theirs)
    if not factors:
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


def _factors(ours: Reading, theirs: Reading) -> list[Fraction]:
    """By what the first value may be multiplied to be in the unit of the second; nothing where they do not fit.

    A unit that one of the two does not mention is that of the other. A share may be written as it is: 50% is 0.5.
    """
    if ours.unit is None and theirs.unit is None:
        return [Fraction(1)]
    if ours.unit is not None and theirs.unit is not None:
        factor = ours.unit.in_terms_of(theirs.unit)
        return [] if factor is None else [factor]
    if not (ours.unit_is_sure and theirs.unit_is_sure):
        return []
    shares = [ours.unit and ours.unit.share, theirs.unit and theirs.unit.share and 1 / theirs.unit.share]
    return [Fraction(1), *(share for share in shares if share)]


def _times(factor: Fraction, formula: str) -> str:
    return formula if factor == 1 else rf"\frac{{{factor.numerator}}}{{{factor.denominator}}} \cdot ({formula})"


@lru_cache(maxsize=1 << 16)
def _read(answer: str) -> Reading:
    return read_answer(answer)


@lru_cache(maxsize=1 << 16)
def _compare(given: str, other: str) -> bool | None:
    return grader().compare(given, other)
