"""Epochs over the documents of a domain: permutations, made when they are needed, kept, and mapped into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapwood.arrays import MappedArray, save_array
from sapwood.files import atomic_directory, fingerprint, remove_directory
from sapwood.mixture.order import Documents, Scores, arrange_epoch
from sapwood.recipe.mixture import Order
from sapwood.runs.manifest import remake
from sapwood.tokens.sequence import Epoch
from sapwood.tokens.store import TokenStore

DOCUMENTS, STARTS = "documents.npy", "starts.npy"

Orders = Sequence[tuple[int, Order]]
"""From which token of a domain on, counted over all epochs, which order is in force; the first is from 0."""


class Epochs:
    """The epochs over the documents of one domain."""

    def __init__(
        self,
        directory: Path,
        store: TokenStore,
        members: Documents | None,
        tokens: int,
        scores: Callable[[str], Scores],
        *,
        key: str,
        identity: str,
    ) -> None:
        """`members` are the documents of the domain, by number, and `tokens` theirs; None for all of the store.

        `scores` reads a score of all documents of the store; `key` seeds the shuffles; `identity` changes when anything
        that decides the order does.
        """
        self.directory = directory
        self.store = store
        self.tokens = tokens
        self.scores = scores
        self.key = key
        self.identity = identity
        self._members = members

    @property
    def members(self) -> Documents:
        """The documents of the domain, by number, ascending."""
        return np.arange(self.store.documents, dtype=np.uint32) if self._members is None else self._members

    def holds(self, document: int) -> bool:
        """Whether a document of the store is one of the domain's."""
        if self._members is None:
            return True
        place = int(np.searchsorted(self._members, document))
        return place < len(self._members) and int(self._members[place]) == document

    def get(self, number: int, orders: Orders) -> Epoch:
        """The epoch with this number, counted from 0, in the orders in force while it lasts. It is made if need be."""
        start = number * self.tokens
        before = max(index for index, (begin, _) in enumerate(orders) if begin <= start)
        inside = [(max(0, begin - start), order) for begin, order in orders[before:] if begin < start + self.tokens]
        path = self.directory / f"{number:05d}-{self._fingerprint(inside)}"
        if not path.exists():
            self._make(path, number, inside)
        return read_epoch(path)

    def _make(self, path: Path, number: int, orders: Orders) -> None:
        lengths = self.store.lengths()
        documents = arrange_epoch(self.members, lengths, orders, self.scores, f"{self.key}/{number}")
        with atomic_directory(path) as temporary:
            save_array(temporary / DOCUMENTS, documents)
            save_array(temporary / STARTS, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[documents])]))
        for other in path.parent.glob(f"{number:05d}-*"):  # the same epoch, before its order changed half-way
            if other != path:
                remove_directory(other)

    def _fingerprint(self, orders: Orders) -> str:
        record: list[Any] = [[begin, order.model_dump(mode="json")] for begin, order in orders]
        return fingerprint([self.key, self.identity, record])


def read_epoch(path: Path) -> Epoch:
    """An epoch that was made, mapped into memory. Raises SapwoodError where a file of it is damaged.

    It is read once as a whole for that: a search goes through all of it, and it is small, 12 bytes a document.
    """
    documents, starts = (MappedArray(path / name, remake(path)) for name in (DOCUMENTS, STARTS))
    return Epoch(documents.whole(), starts.whole())
