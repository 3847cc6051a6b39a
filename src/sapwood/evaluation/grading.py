"""Whether an answer is the right one."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from sapwood.evaluation.extract import take_answer
from sapwood.recipe.task import Equal
from sapwood.synthesis.verify.grader import grader

TOLERANCE = Fraction(1, 1000)
"""By how much a number may miss a right one that is no integer, in relation to it: answers are rounded."""

_NUMBER = re.compile(r"([-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40}))(?:/(\d{1,40}))?\.?")
_NUMBER_IN_TEXT = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_NOT_IN_NUMBERS = re.compile(r"\\[$%!,]|[\s,$%£€¥]")


def is_equal(way: Equal, gold: str, given: str) -> bool:
    """Whether an answer equals the right one: as text, as a number, or as a formula.

    Texts are compared without case, width, surrounding space and a full stop at their end; numbers without signs of
    thousands, currencies and per cent: integers exactly, others to a thousandth, and of an answer with a unit the first
    number. Where the right answer is no number but `3:30` or `yes`, they are texts. Formulas are compared by
    math-verify, in a process of its own that no formula can hold up.

    Raises SapwoodError where math-verify is needed and not installed.
    """
    if way == "text":
        return _plain(gold) == _plain(given)
    if way == "number":
        right, found = _number(gold), _number(given) or _first_number(given)
        if right is None:
            return _plain(gold) == _plain(given)
        if found is None:
            return False
        return found == right if right.denominator == 1 else abs(found - right) <= TOLERANCE * abs(right)
    return _same_formula(gold, given)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".。")


def _number(text: str) -> Fraction | None:
    bare = _NOT_IN_NUMBERS.sub("", unicodedata.normalize("NFKC", text))
    match = _NUMBER.fullmatch(bare)
    if match is None:
        return None
    value, divisor = (Fraction(part) if part else Fraction(1) for part in match.groups())
    return value / divisor if divisor else None


def _first_number(text: str) -> Fraction | None:
    match = _NUMBER_IN_TEXT.search(text)
    return None if match is None else _number(match[0])


def _same_formula(gold: str, given: str) -> bool:
    return grader().compare(_bare(gold), _bare(given)) is True


def _bare(formula: str) -> str:
    """A formula without what a text puts around it."""
    return (take_answer(formula, ["boxed"]) or formula).strip().strip("$")
