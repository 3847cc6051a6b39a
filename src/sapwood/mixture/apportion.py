"""Deterministic apportionment: which domain each sequence of a round comes from.

Every prefix of the order is within one sequence of the exact share of every domain, and of every source and group that
domains belong to. Rules that come to mind fail at that: taking the domain that lags furthest, sorting by ideal
positions, or dividing a group's sequences among its sources once they are handed out (`docs/lab-book.md`).

For domains alone the problem is that of proportionate fair scheduling: the j-th sequence of a domain of weight w must
stand between the slots floor(j/w) and ceil((j+1)/w), and the rule "of those whose slot has come, the one whose deadline
is nearest" meets all deadlines (Baruah, Cohen, Plaxton and Varvel, Proportionate progress, Algorithmica 15, 1996).
Here the same holds at every node of the tree: a node is *released* while it is less than one sequence ahead, and has a
*deadline* by which it falls one behind. Of the domains that are released, with all that they belong to, the one comes
whose nearest deadline, of its own or of a node above it, is the nearest; among equals the second nearest counts, and so
on. A released node always has a released child, so no node ever gets ahead by one. That none falls behind by more than
one is proved for domains without groups, and holds in all but about one in ten thousand random trees; the furthest that
a node was found beyond is an eighth of a sequence.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from sapwood.mixture.weights import Mixture

_NEVER = 1 << 62


class Apportionment:
    """An order of domains with exact shares; any position in it is reached in constant time.

    When no domain has a deficit, the order repeats after as many slots as the common denominator of the weights has
    units, and only one period is kept; otherwise all of its `length` slots are.
    """

    def __init__(self, mixture: Mixture, length: int, deficit: Mapping[str, Fraction] | None = None) -> None:
        """Builds the order of `length` slots.

        `deficit` is, by domain, what is due to it from before, in sequences; below zero where it has had too much.
        Raises ValueError unless the weights are positive and sum to exactly 1.
        """
        weights = mixture.weights
        if not weights or min(weights.values()) <= 0 or sum(weights.values()) != 1:
            raise ValueError(f"weights must be positive and sum to 1: {weights}")
        deficit = _balanced(weights, deficit or {})
        self.domains = list(weights)
        self.length = length
        self._period = _NEVER if deficit else math.lcm(*(weight.denominator for weight in weights.values()))
        self._units = np.array([0 if deficit else int(weight * self._period) for weight in weights.values()], np.int64)
        tree = _Tree(mixture, deficit)
        self._order = np.fromiter(
            (tree.next(slot) for slot in range(min(self._period, length))), np.uint16, min(self._period, length)
        )
        self._rank = _ranks(self._order, len(self.domains))

    def locate(self, slot: int) -> tuple[str, int]:
        """The domain of a slot, and how many slots before it belong to the same domain."""
        repeats, phase = divmod(slot, self._period)
        number = self._order[phase]
        return self.domains[number], int(repeats * self._units[number] + self._rank[phase])

    def slots(self, domain: str, ranks: Sequence[int]) -> npt.NDArray[np.int64]:
        """The slots of some of a domain's sequences; the inverse of `locate`. The order must have them."""
        number = self.domains.index(domain)
        inside = np.flatnonzero(self._order == number)
        wanted = np.asarray(ranks, np.int64)
        if len(self._order) < self._period:
            return inside[wanted]
        repeats, places = np.divmod(wanted, self._units[number])
        return repeats * self._period + inside[places]

    def counts(self, slots: int) -> dict[str, int]:
        """How many of the first `slots` slots belong to each domain."""
        repeats, phase = divmod(slots, self._period)
        inside = np.bincount(self._order[:phase], minlength=len(self._units))
        return dict(zip(self.domains, (int(n) for n in repeats * self._units + inside), strict=True))


Urgency = tuple[int, ...]
"""The deadlines of a node and of the most urgent chain of released nodes below it, the nearest first."""


class _Tree:
    """The nodes of a mixture, of which each call of `next` places one more sequence."""

    def __init__(self, mixture: Mixture, deficit: Mapping[str, Fraction]) -> None:
        names: dict[str | None, int] = {None: 0}  # the root is node 0
        self.parents = [-1]
        self.leaves: dict[int, int] = {}
        weights, due = [Fraction(1)], [Fraction(0)]
        for number, (domain, weight) in enumerate(mixture.weights.items()):
            parent = 0
            for depth, name in enumerate(mixture.path(domain)):
                key = f"{depth} {name}"
                if key not in names:
                    names[key] = len(names)
                    self.parents.append(parent)
                    weights.append(Fraction(0))
                    due.append(Fraction(0))
                parent = names[key]
                weights[parent] += weight
                due[parent] += deficit.get(domain, Fraction(0))
            self.leaves[parent] = number
        # In whole numbers: node i has had its exact share after n slots when (done + numerator * n) / scale is whole.
        self.scales = [math.lcm(w.denominator, d.denominator) for w, d in zip(weights, due, strict=True)]
        self.rates = [int(w * s) for w, s in zip(weights, self.scales, strict=True)]
        self.dues = [int(d * s) for d, s in zip(due, self.scales, strict=True)]
        self.placed = [0] * len(weights)
        self.released = [False] * len(weights)
        self.deadlines = [0] * len(weights)
        self.urgencies: list[Urgency] = [()] * len(weights)
        self.ready: list[list[tuple[Urgency, int]]] = [[] for _ in weights]
        """For each node, urgencies and numbers of its released children; entries that no longer hold are skipped."""
        self.waiting: list[tuple[int, int]] = []
        for node in range(1, len(weights)):
            self._wait(node)

    def next(self, slot: int) -> int:
        """The domain, by number, of a slot; slots are asked for in order."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= slot:
            node = heapq.heappop(waiting)[1]
            self.released[node] = True
            self._update(node)
        node = 0
        while node not in self.leaves:
            ready = self.ready[node]
            while not self._holds(ready[0]):
                heapq.heappop(ready)
            node = ready[0][1]
        leaf = node
        while node:
            self.placed[node] += 1
            self.released[node] = False  # until the next slot at least
            self._wait(node)
            node = self.parents[node]
        return self.leaves[leaf]

    def _wait(self, node: int) -> None:
        """Computes when the node's next sequence may come, and by when it must."""
        scale, rate, before = self.scales[node], self.rates[node], self.placed[node]
        # Due after n slots is (dues + rate * n) / scale: released while that is above `before` after this slot.
        release = (before * scale - self.dues[node]) // rate
        self.deadlines[node] = -(-((before + 1) * scale - self.dues[node]) // rate)
        self.urgencies[node] = ()
        heapq.heappush(self.waiting, (max(release, 0), node))

    def _update(self, node: int) -> None:
        """Recomputes the urgency of a released node, and tells its parents as far up as that matters."""
        while node:
            ready = self.ready[node]
            while ready and not self._holds(ready[0]):
                heapq.heappop(ready)
            urgency = tuple(sorted((self.deadlines[node], *(ready[0][0] if ready else ()))))
            if not self.released[node] or urgency == self.urgencies[node]:
                return
            self.urgencies[node] = urgency
            node, child = self.parents[node], node
            heapq.heappush(self.ready[node], (urgency, child))

    def _holds(self, entry: tuple[Urgency, int]) -> bool:
        urgency, node = entry
        return self.released[node] and self.urgencies[node] == urgency


def _balanced(weights: Mapping[str, Fraction], deficit: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The deficits of these domains, with the sum 0: those of domains that are no longer there are shared among
    them."""
    rest = sum((deficit.get(domain, Fraction(0)) for domain in weights), Fraction(0))
    due = {domain: deficit.get(domain, Fraction(0)) - rest * weight for domain, weight in weights.items()}
    return {domain: amount for domain, amount in due.items() if amount}


def _ranks(order: npt.NDArray[np.uint16], domains: int) -> npt.NDArray[np.int64]:
    """For each slot, how many slots before it hold the same domain."""
    ranks = np.empty(len(order), dtype=np.int64)
    by_domain = np.argsort(order, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(order, minlength=domains))))
    ranks[by_domain] = np.arange(len(order)) - starts[order[by_domain]]
    return ranks
