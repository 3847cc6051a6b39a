"""The answer in a text that a model wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sapwood.answers.find import behind_hashes, boxed, first_line, last_number
from sapwood.answers.letters import find_letter
from sapwood.recipe.task import Take


def take_answer(text: str, ways: Sequence[Take]) -> str | None:
    """What the first of the ways finds; None where none finds anything.

    `boxed` is the content of the last `\\boxed{}`, `hashes` what follows the last `####` on its line, `number`
    the last number, `letter` the option that is said to be the answer or else stands alone last, `line` the first line
    that is not empty, `all` the whole text.

    >>> take_answer("So 3 + 4 = 7 apples.", ["boxed", "number"])
    '7'
    """
    for way in ways:
        found = _WAYS[way](text)
        if found is not None and found.strip():
            return found.strip()
    return None


_WAYS: dict[Take, Callable[[str], str | None]] = {
    "boxed": boxed,
    "hashes": behind_hashes,
    "number": last_number,
    "letter": find_letter,
    "line": first_line,
    "all": lambda text: text,
}
