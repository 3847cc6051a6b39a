"""Several training seeds on the same items: a change of the recipe, not of one lucky run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from sapwood.statistics.estimate import Estimate, cluster_sums, left, ratio, widened
from sapwood.statistics.paired import Pairs, change


@dataclass(frozen=True, slots=True)
class SeededChange:
    """A mean change over seeds and items, each of which could have been others."""

    value: float
    seeds: Estimate
    """The mean of the seeds' changes, with the error between seeds; the noise of items within a seed is in it."""
    items: Estimate
    """The same value, with the error between items that the seeds share, beyond what is in `seeds`."""

    @property
    def standard_error(self) -> float:
        """Of the mean change, by both."""
        return math.hypot(self.seeds.standard_error, self.items.standard_error)

    @property
    def degrees_of_freedom(self) -> float:
        """Those of the seeds, which are the fewer."""
        return self.seeds.degrees_of_freedom

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval: its half-width is the root of the summed squares of both half-widths.

        Each is by Student's t with its own degrees of freedom (Howe, 1974, JASA 69:789; Graybill and Wang, 1980, JASA
        75:869, for sums of variances). Satterthwaite's degrees of freedom for the sum cover too little with two to
        four seeds, and a bootstrap of seeds and items far too little.
        """
        half = math.hypot(*(estimate.value - estimate.interval(confidence)[0] for estimate in (self.seeds, self.items)))
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float:
        """Of a true change of zero, two-sided: below 1 - confidence exactly where the interval leaves out zero."""
        variances = [estimate.standard_error**2 for estimate in (self.seeds, self.items)]
        freedom = [self.seeds.degrees_of_freedom, self.items.degrees_of_freedom]
        if math.isnan(sum(variances)) or self.value == 0:
            return 1.0
        if sum(variances) == 0:
            return 0.0

        def excess(log_p: float) -> float:
            quantiles = student.isf(math.exp(log_p) / 2, freedom)
            return float(np.dot(quantiles**2, variances)) - self.value**2

        return math.exp(brentq(excess, -300.0, 0.0)) if excess(-300.0) > 0 else 0.0


def across_seeds(runs: Sequence[Pairs]) -> SeededChange:
    """The mean change of runs that differ in their seed: one `Pairs` for each, of the two arms with that seed.

    Where all start from one model, `before` is that model's in each. Seeds and clusters of items are crossed random
    effects: to the variance between seeds is added that between clusters (of the mean over seeds, as in `ratio`), less
    that of their interaction, which is in both (Cameron, Gelbach and Miller, 2011, JBES 29:238); never below zero.

    Raises ValueError for fewer than two seeds, and for runs on different items.
    """
    if len(runs) < 2:
        raise ValueError("one seed says nothing of others; use `change`")
    first = runs[0]
    if any(run.items != first.items for run in runs):
        raise ValueError("all seeds must have the same items in the same order")
    shared = Pairs(
        items=first.items,
        before=np.mean([run.before for run in runs], axis=0),
        after=np.mean([run.after for run in runs], axis=0),
        clusters=first.clusters,
        weights=first.weights,
    )
    items = ratio(shared.differences * shared.weights, shared.weights, shared.clusters)
    if all(run.right_or_wrong for run in runs):
        items = widened(items, len(shared.items), (1.0, -1.0))
    values = [change(run).value for run in runs]
    seeds = Estimate(items.value, float(np.std(values, ddof=1)) / math.sqrt(len(runs)), len(runs) - 1)
    own = float(np.maximum(items.standard_error**2 - _interaction(runs), 0))
    return SeededChange(items.value, seeds, replace(items, standard_error=math.sqrt(own)))


def _interaction(runs: Sequence[Pairs]) -> float:
    """The variance of the mean change by what is neither the seed's nor the cluster's."""
    sizes = cluster_sums(runs[0].weights, runs[0].clusters)
    if len(sizes) < 2:
        return math.nan
    residuals = np.array(
        [cluster_sums(run.differences * run.weights, run.clusters) - change(run).value * sizes for run in runs]
    )
    residuals -= residuals.mean(axis=0)
    shares = sizes / sizes.sum()
    squares = float(np.sum(residuals**2 / left(shares, float(np.sum(shares**2))))) / float(sizes.sum()) ** 2
    return squares / (len(runs) * (len(runs) - 1))
