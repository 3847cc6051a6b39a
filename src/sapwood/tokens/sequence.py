"""Packed sequences: windows into the documents of a domain concatenated, epoch after epoch. Nothing is written for
them."""

from __future__ import annotations

from collections.abc import Callable
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
    """Tokens; what begins and ends texts is the document's first and last."""
    offset: int
    """Where the piece begins in the sequence."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch over the documents of a domain: each of them once, in some order."""

    documents: npt.NDArray[np.uint32]
    """Their numbers in the store, `[documents]`."""
    starts: npt.NDArray[np.int64]
    """Where each begins when they are laid on end, in tokens, and where the last ends: `[documents + 1]`."""


class Packing:
    """Concatenates the documents of a domain, epoch after epoch, and cuts pieces out of the result.

    No tail is dropped: the end of one epoch stands before the beginning of the next.
    """

    def __init__(self, store: TokenStore, tokens: int, epoch_of: Callable[[int], Epoch]) -> None:
        """`tokens` is the length of an epoch; `epoch_of` gives an epoch by its number, counted from 0.

        Raises SapwoodError where there is nothing to cut from.
        """
        if not tokens:
            raise SapwoodError("There are no tokens to make sequences of.")
        self.store = store
        self.tokens = tokens
        self.epoch_of = epoch_of

    def sequence(self, start: int, length: int) -> tuple[npt.NDArray[np.int64], tuple[Span, ...]]:
        """The ids of tokens `start` to `start + length`, `[length]`, and the pieces of documents that they are."""
        if start < 0:
            raise IndexError(f"token {start}: tokens are counted from 0")
        ids = np.empty(length, np.int64)
        spans: list[Span] = []
        number, inside = divmod(start, self.tokens)
        filled = 0
        while filled < length:
            now = self.epoch_of(number)
            place = int(now.starts.searchsorted(inside, side="right")) - 1
            while filled < length and place < len(now.documents):
                document, begin = int(now.documents[place]), inside - int(now.starts[place])
                taken = min(length - filled, int(now.starts[place + 1]) - inside)
                self.store.copy(document, begin, ids[filled : filled + taken])
                spans.append(Span(document, begin, taken, filled))
                filled, inside, place = filled + taken, inside + taken, place + 1
            number, inside = number + 1, 0
        return ids, tuple(spans)
