"""The stream: position -> (domain, number) -> window -> tokens and documents. A pure function of ledger and shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sapwood.mixture.ledger import Ledger
from sapwood.mixture.order import shuffled_window
from sapwood.tokens.sequence import Packing, Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """A packed window of tokens of one domain, at its place in the run."""

    position: int
    """Counted from 0 through the whole run."""
    domain: str
    """The source it comes from."""
    number: int
    """Counted from 0 through the domain."""
    tokens: NDArray[np.int64]
    """The token ids [sequence_length]."""
    spans: tuple[Span, ...]
    """The pieces of documents that it is made of, in order."""


class Stream:
    """All sequences of a run, each reached in constant time; neither ranks, workers nor restarts can change them."""

    def __init__(self, ledger: Ledger, packings: Mapping[str, Packing], seed: int) -> None:
        """Reads rounds from `ledger`, which may grow, and tokens from `packings`, one for every domain."""
        self.ledger = ledger
        self.packings = packings
        self.seed = seed

    def locate(self, position: int) -> tuple[str, int, int]:
        """The domain of the sequence at `position`, its number there, and the window of the domain that it reads.

        Raises IndexError when no round holds the position.
        """
        entry = self.ledger.at(position)
        if entry is None:
            raise IndexError(f"no round holds position {position}")
        domain, number = entry.locate(position)
        per_epoch = self.packings[domain].windows_per_epoch
        return domain, number, shuffled_window(number, per_epoch, f"{self.seed}/{domain}")

    def __getitem__(self, position: int) -> Sequence:
        domain, number, window = self.locate(position)
        tokens, spans = self.packings[domain].sequence(window)
        return Sequence(position, domain, number, tokens, spans)
