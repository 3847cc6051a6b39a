"""Whether an answer is the right one."""

from __future__ import annotations

from collections.abc import Callable

from sapwood.answers.equal import same_formula, same_number, same_text
from sapwood.recipe.task import Equal


def is_equal(way: Equal, gold: str, given: str) -> bool:
    """Whether an answer equals the right one: as text, as a number, or as a formula.

    Texts are compared without case, width, surrounding space and a full stop at their end; numbers and formulas as in
    the verification of synthetic items. Formulas are compared by math-verify, in a process of its own that no formula
    can hold up.

    Raises SapwoodError where math-verify is needed and not installed.
    """
    return _WAYS[way](gold, given)


_WAYS: dict[Equal, Callable[[str, str], bool]] = {"text": same_text, "number": same_number, "formula": same_formula}
