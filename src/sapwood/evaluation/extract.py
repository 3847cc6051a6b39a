"""The answer in a text that a model wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sapwood.recipe.task import Take

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?|-?\.\d+")
_HASHES = re.compile(r"####\s*([^\n]*)")
_SAID = re.compile(r"(?:answer is|answer:|答案是|答案为|答案[:：]|故选|选)\s*[(（\[]?\s*([A-J])\b", re.IGNORECASE)
_ALONE = re.compile(r"(?<![A-Za-z'’])([A-J])(?![A-Za-z'’])")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")


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


def _boxed(text: str) -> str | None:
    starts = list(_BOXED.finditer(text))
    for start in reversed(starts):
        depth = 1
        for at in range(start.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0) if text[at - 1] != "\\" else 0
            if depth == 0:
                return text[start.end() : at]
    return None


def _number(text: str) -> str | None:
    found = _NUMBER.findall(text)
    return found[-1].rstrip(",") if found else None


def _hashes(text: str) -> str | None:
    found = _HASHES.findall(text)
    return found[-1] if found else None


def _letter(text: str) -> str | None:
    found = _SAID.findall(text) or _ALONE.findall(text)
    return found[-1].upper() if found else None


def _line(text: str) -> str | None:
    return next((line for line in text.splitlines() if line.strip()), None)


_WAYS: dict[Take, Callable[[str], str | None]] = {
    "boxed": _boxed,
    "hashes": _hashes,
    "number": _number,
    "letter": _letter,
    "line": _line,
    "all": lambda text: text,
}
