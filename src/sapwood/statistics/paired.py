"""Two models on the same items: the change, with the noise between items taken out by pairing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.statistics.change import SCORE, Metric
from sapwood.statistics.estimate import Estimate, Floats, ratio, widened
from sapwood.statistics.items import Labels, TaskScores, right_or_wrong


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The scores of two models on the same items, in the same order."""

    items: tuple[str, ...]
    before: Floats
    after: Floats
    clusters: Labels
    weights: Floats
    metric: Metric = SCORE

    @property
    def differences(self) -> Floats:
        """The improvement on every item: above zero is better, whatever the metric."""
        return self.metric.improvement(self.before, self.after)

    @property
    def independent(self) -> bool:
        """Whether no two items share a cluster."""
        return len(np.unique(self.clusters)) == len(self.items)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every item counts the same, and both models are right or wrong on each."""
        same = bool(np.all(self.weights == self.weights[0]))
        return same and right_or_wrong(self.before) and right_or_wrong(self.after)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Pairs:
        """The items that are chosen, at least one."""
        items = tuple(item for item, kept in zip(self.items, chosen, strict=True) if kept)
        before, after = self.before[chosen], self.after[chosen]
        return Pairs(items, before, after, self.clusters[chosen], self.weights[chosen], self.metric)


def pair(before: TaskScores, after: TaskScores, metric: Metric = SCORE) -> Pairs:
    """The scores of two models on the same items, in the order of `before`; `metric` says which are better.

    Raises SapwoodError when the items differ, or their clusters or weights.
    """
    places = {item: place for place, item in enumerate(after.items)}
    lacking = [item for item in before.items if item not in places]
    added = set(after.items) - set(before.items)
    if lacking or added:
        example = lacking[0] if lacking else min(added)
        raise SapwoodError(
            f"The two models answered different items: {len(lacking)} only the first, {len(added)} only the second, "
            f"such as '{example}'. Evaluate both on the same items."
        )
    order = np.array([places[item] for item in before.items])
    clusters, weights = after.clusters[order], after.weights[order]
    both = len(np.unique(np.stack([before.clusters, clusters]), axis=1).T)
    if not both == len(np.unique(before.clusters)) == len(np.unique(clusters)) or np.any(before.weights != weights):
        raise SapwoodError(
            "The two models have the same items with different clusters or weights. Both come from the task, not from "
            "the model: give them the same."
        )
    return Pairs(before.items, before.scores, after.scores[order], before.clusters, before.weights, metric)


def change(pairs: Pairs) -> Estimate:
    """The mean improvement over items, sum(w d) / sum(w), with its clustered standard error (see `ratio`).

    Where both models are right or wrong on every item, the standard error is as if two more items had been seen, one
    won and one lost (the variance of Bonett and Price, 2012, Journal of Educational and Behavioral Statistics 37:479,
    without moving the estimate). Without it, models that happen to agree on all items would be the same for certain,
    and a test of few items would show that anything is kept.
    """
    estimate = ratio(pairs.differences * pairs.weights, pairs.weights, pairs.clusters)
    return widened(estimate, len(pairs.items), (1.0, -1.0)) if pairs.right_or_wrong else estimate


def mcnemar(pairs: Pairs) -> float:
    """McNemar's exact test: the two-sided p-value of no change, for independent items that are right or wrong.

    Of the n items that one model has right and the other wrong, each is as likely to be won as lost: Binomial(n, 1/2)
    (McNemar, 1947, Psychometrika 12:153). Raises ValueError for other scores and for clusters; `sign_flip` takes both.
    """
    from scipy.stats import binomtest

    if not pairs.right_or_wrong or not pairs.independent:
        raise ValueError("McNemar's test is for independent items that are right or wrong; use sign_flip")
    won, lost = np.count_nonzero(pairs.differences > 0), np.count_nonzero(pairs.differences < 0)
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
