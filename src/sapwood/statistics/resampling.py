"""Tests and intervals that resample whole clusters: no formula for the standard error, no normal distribution."""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt

from sapwood.statistics.estimate import Floats, cluster_sums, left
from sapwood.statistics.paired import Pairs, change

EXACT = 16
"""Up to so many clusters that changed, all their signs are tried (65,536)."""
_CELLS = 4_000_000
"""Numbers held at once."""


def sign_flip(pairs: Pairs, *, resamples: int = 9999, seed: int = 0) -> float:
    """The two-sided p-value of no change, by flipping the signs of whole clusters' differences at random.

    The statistic is |sum(w d)|. Valid with any number of clusters, where under no change a difference is as likely as
    its opposite. Exact for items that are right or wrong (then without clusters it is McNemar's exact test), and where
    at most `EXACT` clusters changed. Otherwise a Monte Carlo test, (1 + hits) / (1 + resamples), the same for the same
    seed. With C clusters no p-value is below 2 / 2^C.
    """
    weights = pairs.weights / pairs.weights[0]
    sums = cluster_sums(pairs.differences * weights, pairs.clusters)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    # Sums that are equal on paper may differ in the last digits.
    observed = abs(float(sums.sum())) - 1e-9 * float(np.abs(sums).sum())
    if pairs.right_or_wrong:
        chances = _sum_of_signs(np.abs(sums).astype(np.intp))
        totals = np.abs(np.arange(len(chances)) - len(chances) // 2)
        return min(1.0, float(chances[totals >= observed].sum()))
    if len(sums) <= EXACT:
        flips = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) % 2
        return float(np.mean(np.abs((1.0 - 2.0 * flips) @ sums) >= observed))
    random = np.random.default_rng(seed)
    hits = 0
    for size in _chunks(resamples, len(sums)):
        signs = 2.0 * random.integers(0, 2, size=(size, len(sums))) - 1.0
        hits += int(np.count_nonzero(np.abs(signs @ sums) >= observed))
    return (1 + hits) / (1 + resamples)


def bootstrap(pairs: Pairs, confidence: float = 0.95, *, resamples: int = 1999, seed: int = 0) -> tuple[float, float]:
    """An interval of the change from clusters drawn again with replacement, the same for the same seed.

    The symmetric studentised bootstrap (Hall, The Bootstrap and Edgeworth Expansion, 1992, section 3.6): in place of
    Student's t the distribution of |R* - R| / SE* over the resamples, but never narrower than by Student's t, since
    resamples of few flips hold fewer still. For scores that are far from normal and clusters of very different sizes.
    Percentile and BCa intervals were measured and cover less. Infinite with one cluster.
    """
    a = cluster_sums(pairs.differences * pairs.weights, pairs.clusters)
    b = cluster_sums(pairs.weights, pairs.clusters)
    estimate = change(pairs)
    if len(a) < 2:
        return -np.inf, np.inf
    random = np.random.default_rng(seed)
    distances = []
    for size in _chunks(resamples, len(a)):
        counts = random.multinomial(len(a), np.full(len(a), 1 / len(a)), size=size).astype(np.float64)
        distances.append(_distances(counts, a, b, estimate.value, pairs.right_or_wrong, len(pairs.items)))
    half = float(np.quantile(np.concatenate(distances), confidence, method="higher")) * estimate.standard_error
    low, high = estimate.interval(confidence)
    return min(low, estimate.value - half), max(high, estimate.value + half)


def _sum_of_signs(sizes: npt.NDArray[np.intp]) -> Floats:
    """The probabilities of -sum(sizes) to sum(sizes) for a sum whose terms get random signs."""
    from scipy.stats import binom

    parts = []
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        part = np.zeros(2 * size * count + 1)
        part[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        parts.append(part)
    return reduce(np.convolve, parts)


def _distances(counts: Floats, a: Floats, b: Floats, value: float, right_or_wrong: bool, items: int) -> Floats:
    """|R* - R| / SE* of resamples, each a row of how often every cluster was drawn; SE* as in `change`."""
    total = counts @ b
    ratios = counts @ a / total
    shares = b / total[:, None]
    residuals = (a - ratios[:, None] * b) ** 2 / left(shares, (counts * shares**2).sum(axis=1, keepdims=True))
    errors = np.sqrt((counts * residuals).sum(axis=1)) / total
    if right_or_wrong:
        errors = np.sqrt((errors * items) ** 2 + 2) / (items + 2)
    distances = np.abs(ratios - value)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distances > 0, distances / errors, 0.0)


def _chunks(resamples: int, clusters: int) -> list[int]:
    size = max(1, _CELLS // clusters)
    return [min(size, resamples - done) for done in range(0, resamples, size)]
