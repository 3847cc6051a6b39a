"""Packed sequences: windows into the endless repetition of a store's documents. Nothing is written for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.tokens.store import TokenStore


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one document inside a sequence."""

    document: int
    """The document's number in the store."""
    start: int
    """The first token, counted inside the document."""
    length: int
    """Tokens; the end-of-text token is the document's last."""
    offset: int
    """Where the piece begins in the sequence."""


class Packing:
    """Cuts the documents of a store, on end and repeated without end, into windows of `sequence_length` tokens.

    Window k holds tokens k·L to (k+1)·L, so no tail is dropped: an epoch's last tokens stand before the next one's
    first, and of a store shorter than a sequence one window holds several repetitions.
    """

    def __init__(self, store: TokenStore, sequence_length: int) -> None:
        """Documents come in the order of the store. Raises SapwoodError where the store is empty."""
        if not store.tokens:
            raise SapwoodError("There are no tokens to make sequences of.")
        self.store = store
        self.sequence_length = sequence_length

    @property
    def windows_per_epoch(self) -> int:
        """Windows that lie wholly inside one repetition of the documents; at least 1."""
        return max(1, self.store.tokens // self.sequence_length)

    def sequence(self, window: int) -> tuple[npt.NDArray[np.int64], tuple[Span, ...]]:
        """The ids of one window, `[sequence_length]`, and the pieces of documents that it consists of, in order."""
        if window < 0:
            raise IndexError(f"window {window}: windows are counted from 0")
        ids = np.empty(self.sequence_length, np.int64)
        spans: list[Span] = []
        start, filled = window * self.sequence_length % self.store.tokens, 0
        while filled < self.sequence_length:
            stop = min(start + self.sequence_length - filled, self.store.tokens)
            ids[filled : filled + stop - start] = self.store.read(start, stop)
            for document, first, length in zip(
                *(part.tolist() for part in self.store.pieces(start, stop)), strict=True
            ):
                spans.append(Span(document, first, length, filled))
                filled += length
            start = 0
        return ids, tuple(spans)
