"""Texts as sequences of tokens for comparison, and hashes of their n-grams: all in numpy, no token is ever a string.

Tokens are words in lower case, numbers, and single Han characters; punctuation, white space and the width of characters
do not count. A token is known by a 64-bit hash, and by its place in the text.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_CODES = 0x32400
"""Characters from here on (there are a few rare ones, and private ones) separate words."""
_SEPARATOR, _WORD, _HAN = 0, 1, 2
_HAN_RANGES = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_WIDE = range(0xFF01, 0xFF5F)
_WIDE_TO_NARROW = 0xFEE0
_RADIX = 0x9E3779B97F4A7C15
_LONGEST = 64
"""Characters of a word by whose place it is known; what follows counts by what it is."""


class Tokens(NamedTuple):
    """The tokens of a text."""

    hashes: Hashes
    """`[tokens]`."""
    starts: npt.NDArray[np.int64]
    """Where each begins in the text, in characters, `[tokens]`."""
    ends: npt.NDArray[np.int64]


def tokenise(text: str) -> Tokens:
    """Splits a text into tokens."""
    codes = np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), _CODES - 1)
    kinds = _kinds()[codes]
    word = kinds == _WORD
    continues = np.zeros(len(codes) + 1, bool)
    continues[1:-1] = word[1:] & word[:-1]
    token = kinds != _SEPARATOR
    starts = np.flatnonzero(token & ~continues[:-1])
    ends = np.flatnonzero(token & ~continues[1:]) + 1
    if not len(starts):
        return Tokens(np.empty(0, np.uint64), starts, ends)
    first = int(starts[0])
    lengths = np.diff(starts, append=len(codes))
    places = np.arange(first, len(codes)) - np.repeat(starts, lengths)
    values = np.where(token[first:], _folds()[codes[first:]], np.uint64(0))
    values *= _powers()[np.minimum(places, _LONGEST - 1)]
    return Tokens(_mixed(np.add.reduceat(values, starts - first)), starts, ends)


def folded_codes(text: str) -> Hashes:
    """The characters of a text in lower case and narrow, as numbers, `[characters]`."""
    return _folds()[np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), _CODES - 1)]


def is_han(text: str, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Which of a text's tokens are Han characters, `[tokens]`."""
    codes = np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), _CODES - 1)
    han: npt.NDArray[np.bool_] = _kinds()[codes[tokens.starts]] == _HAN
    return han


def ngram_hashes(tokens: Hashes, ngram: int) -> Hashes:
    """A hash of every `ngram` tokens in a row, `[tokens - ngram + 1]`; none where there are fewer tokens."""
    windows = len(tokens) - ngram + 1
    if windows < 1:
        return np.empty(0, np.uint64)
    hashes = np.zeros(windows, np.uint64)
    for place in range(ngram):
        hashes *= np.uint64(_RADIX)
        hashes += tokens[place : place + windows]
    return _mixed(hashes)


def _mixed(hashes: Hashes) -> Hashes:
    """Spreads what differs in a few bits over all (the finisher of MurmurHash3)."""
    hashes = hashes ^ (hashes >> np.uint64(33))
    hashes *= np.uint64(0xFF51AFD7ED558CCD)
    hashes ^= hashes >> np.uint64(33)
    return hashes


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.fromiter((chr(code).isalnum() for code in range(_CODES)), np.uint8, _CODES)
    for start, stop in _HAN_RANGES:
        kinds[start:stop] = _HAN
    kinds[-1] = _SEPARATOR
    return kinds


@cache
def _folds() -> Hashes:
    """Every character in lower case and narrow, as a number."""
    folds = np.arange(_CODES, dtype=np.uint64)
    for code in [*range(0xD800), *range(0xE000, _CODES)]:
        narrow = code - _WIDE_TO_NARROW if code in _WIDE else code
        lower = chr(narrow).lower()
        folds[code] = ord(lower) if len(lower) == 1 else narrow
    return folds


@cache
def _powers() -> Hashes:
    powers = [1]
    for _ in range(_LONGEST - 1):
        powers.append(powers[-1] * _RADIX % 2**64)
    return np.array(powers, np.uint64)
