"""What texts mean, as directions: the nearest among many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sapwood.generation.client import Failure
from sapwood.generation.embed import Embedded
from sapwood.recipe.server import ModelServer

Vectors = npt.NDArray[np.float32]
"""`[texts, dimensions]`, each of length 1."""

Embed = Callable[[ModelServer, Sequence[str]], Embedded | Failure]
"""Asks a server of embeddings about many texts; a failure where one of them has no answer this time. What was asked
before costs nothing."""

_BLOCK = 1 << 14
"""Vectors that are compared at once."""


class Neighbours:
    """Vectors that others are compared with, kept in half precision."""

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.float16]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, vectors: Vectors) -> None:
        """Takes in vectors, numbered in the order in which they come."""
        self._size += len(vectors)
        halved = vectors.astype(np.float16)
        if self._blocks and len(self._blocks[-1]) + len(halved) <= _BLOCK:
            halved = np.concatenate([self._blocks.pop(), halved])
        self._blocks.append(halved)

    def nearest(self, vectors: Vectors, count: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """The numbers of the nearest to each vector and the cosines, `[vectors, count]`, the nearest first.

        Where there are fewer than `count`, as many as there are.
        """
        numbers = np.empty((len(vectors), 0), np.int64)
        cosines = np.empty((len(vectors), 0), np.float32)
        first = 0
        for block in self._blocks:
            found, places = _largest(vectors @ block.astype(np.float32).T, count)
            cosines, chosen = _largest(np.concatenate([cosines, found], axis=1), count)
            numbers = np.take_along_axis(np.concatenate([numbers, first + places], axis=1), chosen, axis=1)
            first += len(block)
        return numbers, cosines


def _largest(values: Vectors, count: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """The largest of each row, falling, and their places."""
    if values.shape[1] > count:
        places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    else:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return np.take_along_axis(values, places, axis=1), places
