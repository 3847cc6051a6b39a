"""What of a text is its answer: in a box, behind a mark, the last number, the first line, or what it states."""

from __future__ import annotations

import re

from sapwood.answers.numbers import find_numbers

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_HASHES = re.compile(r"####\s*([^\n]*)")
_SAYS = re.compile(r"(?:\b(?:answer|result) *(?:is|:|=)|答案 *(?:应?该?[是为]|:|：)) *[:：]?", re.IGNORECASE)
_ENDS = re.compile(r"[。;；\n]|\.(?=\s|$)|[,，](?= *(?:because|since|as|so|因为|所以|故))|$", re.IGNORECASE)


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` that is closed."""
    for start in reversed(list(_BOXED.finditer(text))):
        depth = 1
        for at in range(start.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0) if text[at - 1] != "\\" else 0
            if depth == 0:
                return text[start.end() : at]
    return None


def behind_hashes(text: str) -> str | None:
    """What follows the last `####` on its line."""
    found = _HASHES.findall(text)
    return found[-1] if found else None


def last_number(text: str) -> str | None:
    """The last number, or the expression that stands in its place (`30-12`), which equals no number."""
    found = find_numbers(text)
    return found[-1].text if found else None


def first_line(text: str) -> str | None:
    """The first line that is not empty."""
    return next((line for line in text.splitlines() if line.strip()), None)


def stated(text: str) -> str | None:
    """What a text puts into a box, or else says to be its answer last."""
    found = boxed(text)
    if found is not None:
        return found
    said = list(_SAYS.finditer(text))
    if not said:
        return None
    begin = said[-1].end()
    end = _ENDS.search(text, begin)
    return text[begin : end.start() if end else None].strip() or None
