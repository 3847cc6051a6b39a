"""Texts as sequences of tokens for comparison, and hashes of their n-grams: all in numpy, no token is ever a string.

Tokens are words, numbers, and single letters of scripts that are written without spaces, each with its marks
(`characters`); case, width, punctuation and white space do not count. A token is known by a 64-bit hash, and by its
place in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sapwood.corpus.characters import (
    IGNORED,
    IRREGULAR,
    MARK,
    RADIX,
    SIGN,
    SIGNS,
    TOKEN,
    UNSPACED,
    WORD,
    Hashes,
    codes_of,
    table,
)
from sapwood.corpus.variants import letters_by_variant

_LONGEST = 64
"""Characters of a word by whose place it is known; what follows counts by what it is."""
_SPAN = 1 << 18
"""Characters of a text, up to which powers are kept: 4 MiB in a process. Longer texts take longer."""


class Tokens(NamedTuple):
    """The tokens of a text."""

    hashes: Hashes
    """`[tokens]`."""
    starts: npt.NDArray[np.int64]
    """Where each begins in the text, in characters, `[tokens]`."""
    ends: npt.NDArray[np.int64]


def tokenise(text: str, *, variants: bool = False) -> Tokens:
    """Splits a text into tokens. With `variants`, simplified and traditional forms of a Han character are the same."""
    codes = codes_of(text)
    letters = letters_by_variant() if variants else table().letters
    return _cut(codes, table().kinds[codes], letters[codes], WORD)


def tokenise_with_signs(text: str) -> Tokens:
    """Splits a text into tokens of which signs in a row are one, too: C, C++ and C# are three texts.

    Of the signs of prose only those count that stand between words with nothing else around them (3:4); a hyphen
    between words does not.
    """
    codes = codes_of(text)
    kinds = table().kinds[codes]
    hashes, starts, ends = _cut(codes, kinds, table().all[codes], WORD, SIGNS)
    if not len(starts):
        return Tokens(hashes, starts, ends)
    words = (kinds[starts] & WORD) != 0
    glued = np.zeros(len(starts), bool)
    glued[1:-1] = (ends[:-2] == starts[1:-1]) & (ends[1:-1] == starts[2:]) & words[:-2] & words[2:]
    signs = np.bitwise_or.reduceat(kinds, starts)
    counts = ((kinds[starts] & SIGNS) == 0) | ((signs & SIGN) != 0) | glued
    for place in np.flatnonzero(glued & (hashes == _hyphen())):
        before, after = text[starts[place - 1] : ends[place - 1]], text[starts[place + 1] : ends[place + 1]]
        counts[place] = not (before.isalpha() and after.isalpha() and len(before + after) > 2)
    return Tokens(hashes[counts], starts[counts], ends[counts])


def character_values(text: str) -> Hashes:
    """The characters of a text as they are compared, as numbers, `[characters]`. Those that do not count are 0."""
    return table().all[codes_of(text)]


def is_unspaced(text: str, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Which of a text's tokens are letters of scripts without spaces, such as Han characters, `[tokens]`."""
    unspaced: npt.NDArray[np.bool_] = (table().kinds[codes_of(text)[tokens.starts]] & UNSPACED) != 0
    return unspaced


def ngram_hashes(tokens: Hashes, ngram: int) -> Hashes:
    """A hash of every `ngram` tokens in a row, `[tokens - ngram + 1]`; none where there are fewer tokens."""
    return _mixed(next(raw_ngram_hashes(tokens, [ngram])))


def raw_ngram_hashes(tokens: Hashes, ngrams: Sequence[int]) -> Iterator[Hashes]:
    """A hash of every n tokens in a row, for several n in ascending order, each made from the shorter ones.

    Good for telling n-grams apart; neighbours are not independent, as hashes for MinHash must be (`ngram_hashes`).
    """
    hashes, reached = tokens, 1
    for ngram in ngrams:
        windows = max(0, len(tokens) - ngram + 1)
        # n tokens and the n after them are 2n: seven steps to 5 and then 13 tokens, where one by one it is twelve.
        while 2 * reached <= ngram and len(hashes) > reached:
            hashes = hashes[:-reached] * np.uint64(pow(RADIX, reached, 2**64)) + hashes[reached:]
            reached *= 2
        hashes = hashes[:windows].copy()
        for place in range(reached, ngram) if windows else ():
            hashes *= np.uint64(RADIX)
            hashes += tokens[place : place + windows]
        reached = ngram
        yield hashes


def _cut(codes: npt.NDArray[np.uint32], kinds: npt.NDArray[np.uint8], values: Hashes, *joined: int) -> Tokens:
    """Cuts where no two characters of one of the kinds `joined` meet. Single letters are tokens in any case."""
    kept = TOKEN
    for kind in joined:
        kept |= kind
    regular = not (len(kinds) and int(np.bitwise_or.reduce(kinds)) & IRREGULAR)
    if not regular:
        solid = (kinds & (MARK | IGNORED)) == 0
        bases = np.maximum.accumulate(np.where(solid, np.arange(len(kinds)), -1))
        kinds = np.where(bases < 0, np.uint8(0), kinds[bases])  # marks are what their letter is
    token = (kinds & np.uint8(kept)) != 0
    continues = np.zeros(len(kinds) + 1, bool)
    for kind in joined:
        same = (kinds & np.uint8(kind)) != 0
        continues[1:-1] |= same[1:] & same[:-1]
    if not regular:
        continues[:-1] |= ~solid
    starts = np.flatnonzero(token > continues[:-1])
    ends = np.flatnonzero(token > continues[1:]) + 1
    if not len(starts):
        return Tokens(np.empty(0, np.uint64), starts, ends)
    first = int(starts[0])
    if regular and len(kinds) <= _SPAN and int((ends - starts).max()) <= _LONGEST:
        # Counted from the beginning of the text, and divided by what its place there is worth: a third less time.
        counted = np.add.reduceat(values[first:] * _powers()[first : len(kinds)], starts - first)
        return Tokens(_mixed(counted * _inverses()[starts]), starts, ends)
    lengths = np.diff(starts, append=len(kinds))
    if regular:
        places = np.arange(first, len(kinds)) - np.repeat(starts, lengths)
    else:
        widths = np.where(token, table().widths[codes], 0)
        reached = np.cumsum(widths)
        places = reached[first:] - np.maximum(widths[first:], 1) - np.repeat(reached[starts] - widths[starts], lengths)
        values = np.where(token, values, np.uint64(0))
    values = values[first:] * _powers()[:_LONGEST].take(places, mode="clip")
    return Tokens(_mixed(np.add.reduceat(values, starts - first)), starts, ends)


def _mixed(hashes: Hashes) -> Hashes:
    """Spreads what differs in a few bits over all (the finisher of MurmurHash3)."""
    hashes = hashes ^ (hashes >> np.uint64(33))
    hashes *= np.uint64(0xFF51AFD7ED558CCD)
    hashes ^= hashes >> np.uint64(33)
    return hashes


@cache
def _hyphen() -> np.uint64:
    return np.uint64(_mixed(table().all[[ord("-")]])[0])


@cache
def _powers() -> Hashes:
    """Of RADIX, `[_SPAN]`."""
    return _powers_of(RADIX)


@cache
def _inverses() -> Hashes:
    """What the powers are divided by: RADIX is odd, so that in 64 bits one number times it is 1."""
    return _powers_of(pow(RADIX, -1, 2**64))


def _powers_of(number: int) -> Hashes:
    powers = np.full(_SPAN, number, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
