"""The stream: position -> domain and window -> epoch -> documents. A pure function of ledger and token shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xxhash
from numpy.typing import NDArray

from sapwood.mixture.epochs import Epochs, Orders
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.order import Documents, permute, unpermute
from sapwood.tokens.sequence import Epoch, Packing, Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """A packed window of tokens of one domain, at its place in the run."""

    position: int
    """Counted from 0 through the whole run."""
    domain: str
    """The source it comes from, or `SOURCE/TOPIC`."""
    start: int
    """Its first token, counted through all epochs of the domain."""
    tokens: NDArray[np.int64]
    """The token ids [sequence_length]."""
    spans: tuple[Span, ...]
    """The pieces of documents that it is made of, in order."""

    @property
    def digest(self) -> int:
        """A 64-bit hash of position and tokens."""
        return xxhash.xxh3_64_intdigest(self.tokens.astype("<i8").tobytes(), seed=self.position)


def digest(total: int) -> str:
    """What a batch was, as its metrics keep it: the sum of its sequences' digests modulo 2^64, in hexadecimal.

    A sum does not depend on which rank had which sequence.
    """
    return f"{total % 2**64:016x}"


class Stream:
    """All sequences of a run, each reached in constant time; neither ranks, workers nor restarts can change them."""

    def __init__(self, ledger: Ledger, epochs: Mapping[str, Epochs]) -> None:
        """Reads rounds from `ledger`, which may grow, and documents from the `epochs` over every domain."""
        self.ledger = ledger
        self.epochs = epochs
        self._packings = {
            domain: Packing(part.store, part.tokens, partial(self._epoch, domain)) for domain, part in epochs.items()
        }
        self._rounds = -1
        self._orders: dict[str, Orders] = {}
        self._open: dict[tuple[str, int], Epoch] = {}

    def __getitem__(self, position: int) -> Sequence:
        """The sequence at a position. Raises IndexError when no round holds it."""
        entry = self.ledger.at(position)
        if entry is None:
            raise IndexError(f"no round holds position {position}")
        domain, rank = entry.locate(position)
        start = self._start(entry, domain, rank)
        tokens, spans = self._packings[domain].sequence(start, entry.sequence_length)
        return Sequence(position, domain, start, tokens, spans)

    def positions(self, entry: Round, domain: str, first: int, last: int) -> list[int]:
        """The positions in a round whose sequences hold a domain's tokens `first` to `last` (not included), or some."""
        begin, length = entry.first.get(domain, 0), entry.sequence_length
        windows = range(max(0, (first - begin) // length), -(-(last - begin) // length))
        inside = [window for window in windows if window < entry.counts.get(domain, 0)]
        if not inside:
            return []  # and the order of the round need not be built
        return sorted(entry.positions(domain, [self._shuffled(entry, domain, w, unpermute) for w in inside]))

    def place(self, domain: str, number: int, document: int) -> int:
        """The first token of a document in an epoch over its domain, counted from the beginning of the epoch."""
        found = self._epoch(domain, number)
        return int(found.starts[int(np.flatnonzero(found.documents == document)[0])])

    def documents_until(self, domain: str, position: int) -> Documents:
        """The documents of a domain of which at least a token comes before `position`, by number, ascending."""
        starts, stops = self._stretches(domain, position)
        length = self.epochs[domain].tokens
        if stops[0] >= length:
            return self.epochs[domain].members
        found = [np.empty(0, np.uint32)]
        for number in range(-(-int(stops.max()) // length)):
            now = self._epoch(domain, number)
            first, last = (np.clip(part - number * length, 0, length) for part in (starts, stops))
            first, last = first[first < last], last[first < last]
            begun = np.zeros(len(now.starts), np.int64)  # less those that ended, before each document
            np.add.at(begun, np.searchsorted(now.starts, first, side="right") - 1, 1)
            np.subtract.at(begun, np.searchsorted(now.starts, last), 1)
            found.append(now.documents[np.cumsum(begun[:-1]) > 0])
        return np.unique(np.concatenate(found))

    def make_epochs(self, entry: Round) -> None:
        """Makes the epochs that a round reads, so that other processes find them."""
        for domain, stop in entry.consumed_until(entry.stop).items():
            start, length = entry.first.get(domain, 0), self.epochs[domain].tokens
            for number in range(start // length, -(-stop // length)):
                self._epoch(domain, number)

    def _stretches(self, domain: str, position: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the tokens of a domain that come before `position` begin and end, `[stretches]` each, counted through
        the domain: all up to some token, and the windows after it that a round in progress has spread out."""
        reached = self.ledger.consumed_until(position).get(domain, 0)
        entry = self.ledger.at(position)
        if entry is None or domain in entry.orders:
            return np.array([0]), np.array([reached])
        begin = entry.first.get(domain, 0)
        windows = range((reached - begin) // entry.sequence_length)
        starts = np.array([self._start(entry, domain, rank) for rank in windows], np.int64)
        return np.append(0, starts), np.append(begin, starts + entry.sequence_length)

    def _start(self, entry: Round, domain: str, rank: int) -> int:
        """The first token of one of the sequences that a round has of a domain, counted through the domain.

        A round has a stretch of the domain. Where documents are shuffled, so are the windows of each epoch in it: the
        pieces of a long document are spread out, and yet, when the round is over, the stretch was read to its end.
        """
        return entry.first.get(domain, 0) + self._shuffled(entry, domain, rank, permute) * entry.sequence_length

    def _shuffled(self, entry: Round, domain: str, number: int, way: Callable[[int, int, str], int]) -> int:
        """From the number of a sequence to that of its window in the round, or, with `unpermute`, back."""
        if domain in entry.orders:
            return number
        begin, length, whole = entry.first.get(domain, 0), entry.sequence_length, self.epochs[domain].tokens
        turn = (begin + number * length) // whole
        first = max(0, -(-(turn * whole - begin) // length))
        last = min(entry.counts[domain], -(-((turn + 1) * whole - begin) // length))
        return first + way(number - first, last - first, f"{self.epochs[domain].key}/{entry.index}/{turn}")

    def _epoch(self, domain: str, number: int) -> Epoch:
        if self._rounds != len(
            self.ledger.rounds
        ):  # a new stage may have changed the order of what is left of an epoch
            self._rounds, self._open = len(self.ledger.rounds), {}
            self._orders = {name: self.ledger.orders_of(name) for name in self.epochs}
        found = self._open.get((domain, number))
        if found is None:
            found = self._open[domain, number] = self.epochs[domain].get(number, self._orders[domain])
        return found
