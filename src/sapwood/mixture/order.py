"""In which order documents come: a seeded shuffle, or a score, as a permutation over documents. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from sapwood.recipe.mixture import Order

Documents = npt.NDArray[np.uint32]
"""Numbers of documents in their token store."""
Scores = npt.NDArray[np.float64]
"""A score of every document in the store; NaN where it has none."""


def arrange(documents: Documents, order: Order, scores: Scores | None, key: str) -> Documents:
    """The documents in the order asked for; they are given, and equal scores stay, by ascending number.

    By a score, three parts follow each other: the documents in order, those that `order.first` leaves to chance, and
    those in the tails or without a score. `key` seeds what is left to chance.
    """
    chance = scrambled(documents, key)
    if order.by == "shuffle" or scores is None:
        return documents[np.argsort(chance, kind="stable")]
    values = scores[documents]
    ranked = np.argsort(values if order.ascending else -values, kind="stable")  # NaN comes last, either way
    scored = len(values) - int(np.isnan(values).sum())
    lowest, highest = (math.floor(share * scored) for share in (order.tails.head, order.tails.tail))
    before, after = (lowest, highest) if order.ascending else (highest, lowest)
    middle = ranked[before : scored - after]
    put_off = np.concatenate([ranked[:before], ranked[scored - after :]])
    del values, ranked
    if order.first < 1:
        limit = np.uint64(int(order.first * 2**64))
        later = middle[chance[middle] >= limit]
        middle = middle[chance[middle] < limit]
    else:
        later = middle[:0]
    if order.bins is not None:
        bins = np.arange(len(middle)) * order.bins // max(1, len(middle))
        middle = middle[np.lexsort((chance[middle], bins))]
    parts = [middle, *(part[np.argsort(chance[part], kind="stable")] for part in (later, put_off))]
    arranged: Documents = documents[np.concatenate(parts)]
    return arranged


def arrange_epoch(
    documents: Documents,
    lengths: npt.NDArray[np.int64],
    orders: Sequence[tuple[int, Order]],
    scores: Callable[[str], Scores],
    key: str,
) -> Documents:
    """One epoch over a domain's documents, during which the order may change.

    `orders` are the tokens of the epoch after which an order comes into force, ascending from 0, and the order;
    `lengths` are the tokens of every document in the store. Documents that an earlier order has reached stay where they
    are, so that each comes once in the epoch, whatever the stages ask for; those left are put into the new order.
    """
    arranged = documents
    for reached, order in orders:
        begins = np.cumsum(lengths[arranged]) - lengths[arranged] if reached else np.empty(0, np.int64)
        settled = int(np.searchsorted(begins, reached))
        rest = np.sort(arranged[settled:])
        known = None if order.by == "shuffle" else scores(order.by)
        arranged = np.concatenate([arranged[:settled], arrange(rest, order, known, key)])
    return arranged


def scrambled(numbers: npt.NDArray[np.uint32], key: str) -> npt.NDArray[np.uint64]:
    """A pseudo-random 64-bit number for each number: splitmix64 (Steele, Lea and Flood 2014), started by the key.

    Unlike numpy's generators it gives the same in every version, on which a resumed run depends.
    """
    with np.errstate(over="ignore"):
        state = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state += np.uint64(xxhash.xxh3_64_intdigest(key.encode()))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state ^= state >> np.uint64(shift)
            state *= np.uint64(factor)
        state ^= state >> np.uint64(31)
    return state


def permute(index: int, size: int, key: str) -> int:
    """The image of `index` under a pseudo-random permutation of range(size), in constant time and memory.

    A balanced Feistel network (Luby and Rackoff 1988) on the next even number of bits; values outside the range are
    sent through it again until they fall inside (cycle walking: Black and Rogaway 2002), four times at most on average.
    """
    return _walk(index, size, key, forwards=True)


def unpermute(image: int, size: int, key: str) -> int:
    """The index whose image under `permute` is `image`."""
    return _walk(image, size, key, forwards=False)


_TURNS = 6
_hash = xxhash.xxh3_64_intdigest


def _walk(value: int, size: int, key: str, *, forwards: bool) -> int:
    if not 0 <= value < size:
        raise ValueError(f"{value} is not in range({size})")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    # What is hashed is KEY/TURN/HALF; of this, all but the half is the same each time round.
    prefixes = [f"{key}/{turn}/".encode() for turn in range(_TURNS)]
    while True:
        left, right = value >> half, value & mask
        if forwards:
            for prefix in prefixes:
                left, right = right, left ^ _hash(b"%b%d" % (prefix, right)) & mask
        else:
            for prefix in reversed(prefixes):
                left, right = right ^ _hash(b"%b%d" % (prefix, left)) & mask, left
        value = left << half | right
        if value < size:
            return value
