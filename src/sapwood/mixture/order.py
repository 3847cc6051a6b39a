"""Which window of a domain its n-th sequence is: a seeded shuffle of any size that is never written out."""

from __future__ import annotations

import xxhash

ROUNDS = 6


def shuffled_window(number: int, windows_per_epoch: int, key: str) -> int:
    """The window that a domain's sequence `number` reads.

    Every epoch of `windows_per_epoch` consecutive numbers visits each of its windows once, in an order that `key` and
    the epoch decide. Windows are counted on from epoch to epoch, so that the tail of one begins the next.
    """
    epoch, index = divmod(number, windows_per_epoch)
    return epoch * windows_per_epoch + permute(index, windows_per_epoch, f"{key}/{epoch}")


def permute(index: int, size: int, key: str) -> int:
    """The image of `index` under a pseudo-random permutation of range(size), in constant time and memory.

    A balanced Feistel network (Luby and Rackoff 1988) on the next even number of bits; values outside the range are
    sent through it again until they fall inside (cycle walking: Black and Rogaway 2002), four times at most on average.
    Raises ValueError when `index` is not in range(size).
    """
    if not 0 <= index < size:
        raise ValueError(f"{index} is not in range({size})")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (xxhash.xxh3_64_intdigest(f"{key}/{turn}/{right}".encode()) & mask)
        index = left << half | right
        if index < size:
            return index
