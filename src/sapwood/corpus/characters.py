"""What every character counts for where texts are cut into tokens and compared: one table by code point.

A character is a letter, a mark that belongs to the letter before it, a sign, or white space. Letters of scripts that
are written without spaces (Han, kana, Thai, Khmer…) are tokens by themselves, with their marks; all others make words.
Forms of one letter have one value: cases, widths, ligatures and other forms of fonts, radicals in place of ideographs.

A letter with marks has the sum of their values, whether Unicode has a code point for it or not: composed (NFC) and
decomposed (NFD) texts are the same text, in whatever order the marks stand. A ligature has the value of its letters in
a row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

WORDS_VERSION = 2
"""How texts are cut. It stands in the settings of every step that compares texts, so that older results are redone."""

WORD, SINGLE, MARK, IGNORED, SIGN, PROSE, IRREGULAR, UNSPACED = (1 << bit for bit in range(8))
"""Kinds of characters: makes words; is a token by itself; belongs to what stands before it; does not count; is a sign;
is a sign of prose, such as a comma. White space is of no kind. Added to these: not exactly one place of a word wide; a
letter of a script without spaces."""
TOKEN = WORD | SINGLE
SIGNS = SIGN | PROSE

CODES = 0x34001
"""Code points with an entry. All from 0x34000 on (tags, selectors of variants, private planes) do not count."""
RADIX = 0x9E3779B97F4A7C15
"""A letter at place p of a word counts RADIX ** p times its value."""

IDEOGRAPHS = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0x20000, 0x323B0))
# Those of which Unicode breaks lines between any two letters or syllables (UAX 14: ideographic, complex context,
# aksara). Tibetan is not among them: its tsheg stands between syllables.
_WITHOUT_SPACES = (
    *IDEOGRAPHS,
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Burmese and its neighbours
    range(0x1780, 0x1800),  # Khmer
    range(0x1950, 0x19E0),  # Tai Le, New Tai Lue
    range(0x1A00, 0x1AB0),  # Buginese, Tai Tham
    range(0x1B00, 0x1B80),  # Balinese
    range(0x2E80, 0x2FE0),  # radicals
    range(0x3005, 0x3008),  # 々〆〇
    range(0x3021, 0x302A),  # numerals of Suzhou
    range(0x3038, 0x303D),
    range(0x3041, 0x3130),  # kana, bopomofo
    range(0x31A0, 0x3200),  # bopomofo, strokes, kana
    range(0xA000, 0xA4D0),  # Yi
    range(0xA980, 0xAAE0),  # Javanese, Burmese, Cham, Tai Viet
    range(0xF900, 0xFB00),  # compatibility ideographs
    range(0x11700, 0x11750),  # Ahom
    range(0x17000, 0x18D90),  # Tangut
    range(0x1B000, 0x1B300),  # old kana, Nushu
    range(0x2F800, 0x2FA20),
)
_CONJOINING = range(0x1161, 0x1200)
"""Vowels and finals of Hangul: they stand at the place of the consonant before them."""
_SYLLABLES = range(0xAC00, 0xD7A4)
_UNSEEN = {
    0x034F,
    0x0640,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x180B,
    0x180C,
    0x180D,
    0x180F,
    0x3164,
    *range(0xFE00, 0xFE10),
}
"""Fillers, joiners and selectors that are no format characters, and the stroke that makes Arabic words longer."""

_FORMS = frozenset(
    "<compat> <circle> <final> <font> <initial> <isolated> <medial> <narrow> <noBreak> <small> <square> <vertical> "
    "<wide>".split()
)
"""Kinds of compatibility that are other forms of the same letters. <super>, <sub> and <fraction> are none: x² is not
x2."""
# Equivalent_Unified_Ideograph of U+2E80 to U+2EF3, in Unicode's database; NFKC knows two of them. A dot has none.
_SUPPLEMENT = (
    ".厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵.旡日月歺母民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫"
    "羊𦍌𦍋耂肀聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄"
    "黾斉齐歯齿竜龙龜亀龟"
)
_EQUAL = {
    **dict.fromkeys("‐‑‒–−", "-"),
    **dict.fromkeys("‘’‛′", "'"),
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("×∗", "*"),
    **dict.fromkeys("÷⁄∕", "/"),
    **dict.fromkeys("≦⩽", "≤"),
    **dict.fromkeys("≧⩾", "≥"),
    **{chr(0x2E80 + number): ideograph for number, ideograph in enumerate(_SUPPLEMENT) if ideograph != "."},
}
_NO_PROSE = frozenset("#%&*/@\\†‡§¶‰‱")
"""Punctuation, by Unicode, that is no sign of prose."""


class Table(NamedTuple):
    """What characters count for, arrays of `[CODES]`."""

    kinds: npt.NDArray[np.uint8]
    letters: Hashes
    """The values of letters and marks; 0 for all else."""
    all: Hashes
    """The values of letters, marks and signs."""
    widths: npt.NDArray[np.uint8]
    """How many places of a word they take: none for a mark, several for a ligature."""


@cache
def table() -> Table:
    """Made once in every process."""
    kinds, widths, values = np.zeros(CODES, np.uint8), np.ones(CODES, np.uint8), _spread().copy()
    for block in IDEOGRAPHS:
        kinds[block] = SINGLE | UNSPACED
    for code in (*range(0x3400), *range(0xA000, 0xD800), *range(0xF900, 0x20000), *range(0x2F800, 0x2FA20)):
        character = chr(code)
        if (folded := _folded(character)) != character:
            kinds[code], values[code], widths[code] = _entry(character, folded)
        elif kind := _kind(character):
            kinds[code], widths[code] = kind, _width([(character, kind)])
    kinds[-1] = IGNORED
    kinds[(kinds & (MARK | IGNORED) != 0) | (widths != 1)] |= IRREGULAR
    values[kinds & (TOKEN | SIGNS | MARK) == 0] = 0
    return Table(kinds, np.where(kinds & (TOKEN | MARK), values, np.uint64(0)), values, widths)


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text, as places in the table, `[characters]`."""
    return np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), np.uint32(CODES - 1))


def _entry(character: str, folded: str) -> tuple[int, int, int]:
    """Kind, value and width of a character that is compared as others."""
    parts = [(part, kind) for part in folded if (kind := _kind(part)) != IGNORED]
    if not parts:
        return IGNORED, 0, 0
    kinds = [kind for _, kind in parts]
    if all(kind & MARK for kind in kinds):
        return MARK, _value(parts), 0
    if kinds[0] & WORD and all(kind & (WORD | MARK) for kind in kinds):
        circled = unicodedata.decomposition(character).startswith("<circle>")
        return SINGLE if circled else WORD, _value(parts), _width(parts)
    if kinds[0] & SINGLE and all(kind & MARK for kind in kinds[1:]):
        return kinds[0], _value(parts), 1
    if kinds[0] & SIGNS and all(kind & (SIGNS | MARK) for kind in kinds):
        return kinds[0], _value(parts), 1
    inside = [(part, kind) for part, kind in parts if not kind & SIGNS]
    if 0 not in kinds and len(inside) < len(parts) and all(kind & WORD for _, kind in inside):
        return SINGLE, _value(inside), _width(inside)  # such as (1) and 1. in one character
    if 0 not in kinds and len(inside) == 1 and inside[0][1] & SINGLE:
        return inside[0][1], _value(inside), 1
    kind = _kind(character)  # several words in one character: it stands for itself
    return kind, _value([(character, kind)]), _width([(character, kind)])


def _folded(character: str) -> str:
    """What a character is compared as: decomposed, in lower case, and without its form."""
    character = _EQUAL.get(character, character)
    form = unicodedata.decomposition(character).partition(" ")[0]
    if not form and character.casefold() == character and ord(character) not in _SYLLABLES:
        return character
    if form.startswith("<") and form not in _FORMS:
        return character
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(_EQUAL.get(part, part) for part in folded)


def _kind(character: str) -> int:
    """The kind of a character that is folded."""
    code, category = ord(character), unicodedata.category(character)
    if category == "Cf" or code in _UNSEEN:
        return IGNORED
    if category[0] == "M":
        return MARK
    if category[0] in "ZC":
        return 0
    if _unspaced()[code] and (category[0] == "L" or category == "Nl" or 0x2E80 <= code < 0x2FE0):
        return SINGLE | UNSPACED
    if character.isalnum():
        return WORD
    prose = category in ("Po", "Pi", "Pf") or (category == "Pd" and character != "-")
    return PROSE if prose and character not in _NO_PROSE else SIGN


def _value(parts: Sequence[tuple[str, int]]) -> int:
    """Of characters in a row."""
    value = place = 0
    for part, kind in parts:
        width = _width([(part, kind)])
        value += int(_spread()[ord(part)]) * RADIX ** (place if width else max(0, place - 1))
        place += width
    return value % 2**64


def _width(parts: Sequence[tuple[str, int]]) -> int:
    return sum(not kind & (MARK | IGNORED) and ord(part) not in _CONJOINING for part, kind in parts)


@cache
def _spread() -> Hashes:
    """A number of 64 bits for every code point (the finisher of MurmurHash3), so that sums of a few do not meet."""
    values = np.arange(1, CODES + 1, dtype=np.uint64) * np.uint64(RADIX)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xFF51AFD7ED558CCD)
    return values ^ values >> np.uint64(33)


@cache
def _unspaced() -> bytearray:
    found = bytearray(CODES)
    for block in _WITHOUT_SPACES:
        found[block.start : block.stop] = b"\1" * len(block)
    return found
