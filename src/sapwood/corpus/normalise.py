"""Writes texts alike before anything else looks at them, and repairs what was broken on their way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from datatrove.data import Document

from sapwood.corpus.block import Block, Reason, filter_out, is_filtered
from sapwood.recipe.data import Normalise, Script

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


# Carriage returns are left for `_LINE_ENDS`, which must see what stood beside them.
_LINES = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_INVISIBLE = "\u00ad\u200b\u2060\ufeff"
_CONTROLS = "".join(map(chr, [*range(0x09), *range(0x0E, 0x1C), 0x1F, *range(0x7F, 0x85), *range(0x86, 0xA0)]))
_REPLACED = str.maketrans(dict.fromkeys(_CONTROLS + _INVISIBLE, "") | dict.fromkeys(_LINES, "\n"))
_TO_REPLACE = re.compile(f"[{re.escape(_CONTROLS + _INVISIBLE + _LINES)}]")
_LINE_ENDS = re.compile("\r\n?")


def normalise(text: str, *, mojibake: bool = False, script: Script | None = None) -> str:
    r"""The same text in Unicode NFC, with `\n` between lines and without control and invisible characters.

    Tabs stay, and so do joiners and directional marks, which some scripts need, and spaces at the ends of lines, which
    Markdown and diffs mean. `mojibake` repairs lines that were decoded wrongly (ftfy, encodings alone); `script` is
    what Chinese is converted into (OpenCC). Done again, it changes nothing more.

    >>> normalise("cafe\u0301\r\nau\x00 lait\ufeff")
    'café\nau lait'
    """
    if _TO_REPLACE.search(text):
        text = text.translate(_REPLACED)
    if "\r" in text:
        text = _LINE_ENDS.sub("\n", text)
    if mojibake and not text.isascii():
        text = _repaired(text)
    if script is not None:
        text = convert(text, script)
    return unicodedata.normalize("NFC", text)


class NormaliseText(Block):
    """Normalises documents. One of which nothing is left is filtered."""

    def __init__(self, settings: Normalise, language: str | None) -> None:
        """`language` is that of the source; scripts are converted in Chinese ones alone."""
        super().__init__()
        self.mojibake = settings.mojibake
        self.script = settings.script if language == "zh" else None

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data or ():
            if not is_filtered(document):
                document.text = normalise(document.text, mojibake=self.mojibake, script=self.script)
                if not document.text or document.text.isspace():
                    filter_out(document, Reason.EMPTY)
            yield document


def _repaired(text: str) -> str:
    """Line by line: a page is often put together from texts of several fates."""
    import ftfy

    lines = [line if line.isascii() else ftfy.fix_encoding(line) for line in text.split("\n")]
    # A repaired line may hold what was removed before, now spelled rightly.
    return _LINE_ENDS.sub("\n", "\n".join(lines).translate(_REPLACED))
