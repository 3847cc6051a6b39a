"""Several training seeds on the same items: a change of the recipe, not of one lucky run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sapwood.statistics.estimate import Estimate, cluster_sums, left, ratio, widened
from sapwood.statistics.paired import Pairs, change


def across_seeds(runs: Sequence[Pairs]) -> Estimate:
    """The mean improvement over runs that differ in their seed: one `Pairs` for each, of the two arms with that seed.

    Where all start from one model, `before` is that model's in each. Seeds and clusters of items are crossed random
    effects: to the variance between seeds is added that between clusters (of the mean over seeds, as in `ratio`), less
    that of their interaction, which is in both (Cameron, Gelbach and Miller, 2011, JBES 29:238); never below zero. The
    parts of the estimate are the error between seeds, with the noise of items within a seed in it, and that between
    items beyond it; its degrees of freedom are those of the seeds, which are the fewer.

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
        metric=first.metric,
    )
    items = ratio(shared.differences * shared.weights, shared.weights, shared.clusters)
    if all(run.right_or_wrong for run in runs):
        items = widened(items, len(shared.items), (1.0, -1.0))
    values = [change(run).value for run in runs]
    seeds = Estimate(items.value, float(np.std(values, ddof=1)) / math.sqrt(len(runs)), len(runs) - 1)
    own = float(np.maximum(items.standard_error**2 - _interaction(runs), 0))
    items = replace(items, standard_error=math.sqrt(own))
    error = math.hypot(seeds.standard_error, items.standard_error)
    return Estimate(items.value, error, seeds.degrees_of_freedom, (seeds, items))


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
