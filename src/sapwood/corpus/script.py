"""Chinese in one script: simplified, or traditional by the standard of OpenCC, Taiwan or Hong Kong.

OpenCC's conversion to traditional takes its input for simplified: a text that is traditional already loses what only
looks simplified (里長 becomes 裏長, 干預 幹預, 余先生 餘先生). Sentence by sentence it is therefore asked which script
there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from sapwood.recipe.data import Script

_STANDARDS: dict[Script, tuple[str, str | None]] = {
    "traditional": ("s2t", None),
    "traditional-tw": ("s2tw", "t2tw"),
    "traditional-twp": ("s2twp", "t2tw"),
    "traditional-hk": ("s2hk", "t2hk"),
}
"""OpenCC's configurations for a sentence in simplified characters, and for one in traditional ones."""

CONVERSION = 2
"""Counts the changes after which texts in traditional characters are no longer what they were before."""

_HAN = ((0x3400, 0x4DC0), (0x4E00, 0xA000))
_COMMON_END = b"\xc6\x7e"
"""The last of the 5,401 characters that Big5 orders as common ones."""
_HARDLY_TRADITIONAL = "坏听扑"
"""Common by Big5's order, but not in traditional text of today."""
_SENTENCE = re.compile("[^。！？；\n]*[。！？；\n]*")


def convert(text: str, script: Script) -> str:
    """The text in another script; done again, it changes nothing more.

    A sentence is simplified where more of its characters exist in simplified text alone than in traditional text alone.
    Where it has neither, it follows the text as a whole. One in traditional characters is left as it is but for the
    variants of a standard (羣 is 群 in Taiwan).

    >>> convert("里长请余先生吃饭。里長請余先生吃飯。", "traditional-tw")
    '里長請餘先生吃飯。里長請余先生吃飯。'
    """
    if text.isascii():
        return text
    if script == "simplified":
        return _converter("t2s")(text)
    simplified, traditional = _STANDARDS[script]
    signs = _signs()
    sentences = _SENTENCE.findall(text)
    evidence = [len(sentence) - len(sentence.translate(signs.simplified)) for sentence in sentences]
    against = [len(sentence) - len(sentence.translate(signs.traditional)) for sentence in sentences]
    whole = sum(evidence) > sum(against)
    for number, sentence in enumerate(sentences):
        if evidence[number] > against[number] or (whole and not against[number]):
            sentences[number] = _converter(simplified)(sentence)
        elif traditional is not None:
            sentences[number] = _converter(traditional)(sentence)
    return "".join(sentences)


class _Signs(NamedTuple):
    """Tables for `str.translate` that remove the characters which tell the scripts apart."""

    simplified: dict[int, None]
    """Those of simplified text, which are rare or absent in traditional text."""
    traditional: dict[int, None]
    """Those of traditional text alone."""


@cache
def _signs() -> _Signs:
    han = [chr(code) for start, stop in _HAN for code in range(start, stop)]
    changed = {name: _changed(name, han) for name in ("s2t", "t2s", "t2tw", "t2hk")}
    variants = {*changed["t2tw"].values(), *changed["t2hk"].values()}
    simplified = [
        character
        for character in changed["s2t"]
        # 61 that are common in traditional text too (后, 里, 干) tell nothing; 63 rare ones (价, 优, 体) do.
        if character not in variants and (character in _HARDLY_TRADITIONAL or not _common(character))
    ]
    return _Signs(dict.fromkeys(map(ord, simplified)), dict.fromkeys(map(ord, changed["t2s"])))


def _changed(configuration: str, characters: list[str]) -> dict[str, str]:
    converted = _converter(configuration)("\n".join(characters)).split("\n")
    return {one: other for one, other in zip(characters, converted, strict=True) if one != other}


def _common(character: str) -> bool:
    try:
        return character.encode("big5") <= _COMMON_END
    except UnicodeEncodeError:
        return False


@cache
def _converter(configuration: str) -> Callable[[str], str]:
    from opencc import OpenCC

    found: Callable[[str], str] = OpenCC(configuration).convert
    return found
