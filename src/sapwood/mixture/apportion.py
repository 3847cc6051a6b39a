"""Deterministic apportionment: which domain each sequence of a round comes from.

Every prefix of the order is within one sequence of every domain's exact share. Two obvious rules do not achieve this:
taking the domain that lags furthest (weights 80:80:1:8:2:2:2:2:1:1 take it 1.27 sequences off), and sorting by ideal
positions (0.9 and a hundred times 0.001: 45 off). The problem is that of proportionate fair scheduling: the j-th
sequence of a domain of weight w must stand between the slots floor(j/w) and ceil((j+1)/w), and the rule "of those whose
slot has come, the one whose deadline is nearest" meets all deadlines whenever the weights sum to 1 (Baruah, Cohen,
Plaxton and Varvel, Proportionate progress, Algorithmica 15, 1996; Tijdeman, The chairman assignment problem, 1980,
gives the bound).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


class Apportionment:
    """An endless order of domains with exact shares; any position is reached in constant time.

    The order repeats after as many slots as the common denominator of the weights has units, so only one period is
    kept, or less when `length`, the number of slots that will be asked for, is smaller.
    """

    def __init__(self, weights: Mapping[str, Fraction], length: int) -> None:
        """Builds the order. Raises ValueError unless the weights are positive and sum to exactly 1."""
        if not weights or min(weights.values()) <= 0 or sum(weights.values()) != 1:
            raise ValueError(f"weights must be positive and sum to 1: {dict(weights)}")
        self.domains = list(weights)
        self.length = length
        self._period = math.lcm(*(weight.denominator for weight in weights.values()))
        units = [int(weight * self._period) for weight in weights.values()]
        self._units = np.array(units, dtype=np.int64)
        self._order = _earliest_deadline_first(units, self._period, min(self._period, length))
        self._rank = _ranks(self._order, len(units))

    def locate(self, slot: int) -> tuple[str, int]:
        """The domain of a slot, and how many slots before it belong to the same domain."""
        repeats, phase = divmod(slot, self._period)
        number = self._order[phase]
        return self.domains[number], int(repeats * self._units[number] + self._rank[phase])

    def counts(self, slots: int) -> dict[str, int]:
        """How many of the first `slots` slots belong to each domain."""
        repeats, phase = divmod(slots, self._period)
        inside = np.bincount(self._order[:phase], minlength=len(self._units))
        return dict(zip(self.domains, (int(n) for n in repeats * self._units + inside), strict=True))


def _earliest_deadline_first(units: list[int], period: int, length: int) -> NDArray[np.uint16]:
    """Slots 0 to `length` of the order in which domain i has `units[i]` of every `period` slots."""
    order = np.empty(length, dtype=np.uint16)
    placed = [0] * len(units)
    waiting = [(0, number) for number in range(len(units))]  # (first allowed slot, domain): a valid heap
    ready: list[tuple[int, int]] = []  # (slot by which it must have been placed, domain)
    for slot in range(length):
        while waiting and waiting[0][0] <= slot:
            number = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (-(-(placed[number] + 1) * period // units[number]), number))
        number = heapq.heappop(ready)[1]
        order[slot] = number
        placed[number] += 1
        heapq.heappush(waiting, (placed[number] * period // units[number], number))
    return order


def _ranks(order: NDArray[np.uint16], domains: int) -> NDArray[np.int64]:
    """For each slot, how many slots before it hold the same domain."""
    ranks = np.empty(len(order), dtype=np.int64)
    by_domain = np.argsort(order, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(order, minlength=domains))))
    ranks[by_domain] = np.arange(len(order)) - starts[order[by_domain]]
    return ranks
