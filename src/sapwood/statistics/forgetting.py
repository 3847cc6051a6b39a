"""Forgetting item by item: what was right and is wrong now, and the other way round; means hide both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapwood.statistics.estimate import Estimate, Floats, ratio, widened
from sapwood.statistics.items import TaskScores
from sapwood.statistics.level import Level, level
from sapwood.statistics.paired import Pairs


@dataclass(frozen=True, slots=True)
class Bounds:
    """A share of items that answers alone leave open: it depends on how much two models guess alike."""

    least: Estimate
    """If they guess independently. May lie below zero by chance, and where they do not."""
    most: Estimate
    """If they guess the same."""

    @property
    def values(self) -> tuple[float, float]:
        """The least and the most that it can be."""
        return max(0.0, self.least.value), max(0.0, self.most.value)

    def interval(self, confidence: float) -> tuple[float, float]:
        """From the lower end of the least to the upper end of the most: holds the share however they guess."""
        return max(0.0, self.least.interval(confidence)[0]), min(1.0, self.most.interval(confidence)[1])


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Shares of all items, raw and without what guessing alone brings."""

    lost: Level
    """Right before, wrong after (1→0)."""
    won: Level
    """Wrong before, right after (0→1)."""
    by_guessing: float
    """The share expected to go 1→0, and as many 0→1, because both models guess, independently."""
    forgotten: Bounds
    """Known before and not after."""
    learned: Bounds
    """Known after and not before."""
    known_before: float
    """(accuracy - q) / (1 - q): the share of items that the model knows, if it guesses all others."""
    known_after: float
    """known_before - forgotten + learned, with the least or the most of both."""


def forgetting(pairs: Pairs, chances: npt.ArrayLike = 0.0) -> Forgetting:
    """The flips of items that are right or wrong, raw (Harmon et al., arXiv 2510.17776) and corrected for guessing.

    `chances` gives the probability q of guessing right, for each item or for all: 1 / its number of options, 0 where
    there are none. A model knows an item, or guesses. An item that both guess is wrong twice with (1 - q)², and only
    such items are wrong twice; it goes 1→0 with q (1 - q). So of the shares n10 and n00 of items

        by guessing = n00 q / (1 - q)            forgotten = (n10 - n00 q / (1 - q)) / (1 - q)

    and learned likewise from n01: right on average if the two models guess independently. Related models guess alike,
    which flips fewer items. If they guess the same, no item flips but by what is known, and an item that was forgotten
    is right with q still: forgotten = n10 / (1 - q). The truth lies between.

    All are means over items, with clustered standard errors, as if one more item had flipped. Raises ValueError for
    scores other than 0 and 1: a mean over samples has no flips; take one sample.
    """
    if not pairs.right_or_wrong:
        raise ValueError("flips are of items that are right or wrong; take one sample of each")
    guess = np.broadcast_to(np.asarray(chances, dtype=np.float64), pairs.before.shape)
    if np.any((guess < 0) | (guess >= 1)):
        raise ValueError("chances are at least 0 and below 1")
    lost = (pairs.before == 1) & (pairs.after == 0)
    won = (pairs.before == 0) & (pairs.after == 1)
    guessed = ((pairs.before == 0) & (pairs.after == 0)) * guess / (1 - guess)

    def known(flips: npt.NDArray[np.bool_], by_guessing: Floats) -> Estimate:
        estimate = ratio((flips - by_guessing) / (1 - guess), np.ones(len(flips)), pairs.clusters)
        return widened(estimate, len(flips), (float(np.max(1 / (1 - guess))),))

    def bounds(flips: npt.NDArray[np.bool_]) -> Bounds:
        return Bounds(known(flips, guessed), known(flips, np.zeros(len(flips))))

    return Forgetting(
        lost=_rate(lost, pairs),
        won=_rate(won, pairs),
        by_guessing=float(guessed.mean()),
        forgotten=bounds(lost),
        learned=bounds(won),
        known_before=float(np.mean((pairs.before - guess) / (1 - guess))),
        known_after=float(np.mean((pairs.after - guess) / (1 - guess))),
    )


def _rate(flips: npt.NDArray[np.bool_], pairs: Pairs) -> Level:
    rate: Floats = flips.astype(np.float64)
    return level(TaskScores(pairs.items, rate, pairs.clusters, pairs.weights))
