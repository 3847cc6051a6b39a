"""How good one model is on a task, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sapwood.statistics import student
from sapwood.statistics.estimate import Estimate, ratio
from sapwood.statistics.items import TaskScores
from sapwood.statistics.proportion import score_interval


@dataclass(frozen=True, slots=True)
class Level:
    """The mean score of a model on a task."""

    estimate: Estimate
    """The mean, its standard error with the clusters as units, and their degrees of freedom."""
    naive_error: float
    """The standard error as if all items were independent; too small where they come in clusters."""
    items: int
    clusters: int
    right_or_wrong: bool
    shares: bool
    """Whether all scores lie from 0 to 1 and count the same."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval.

        Of items that are right or wrong, Wilson's: near 0 and 1 the t interval covers far too rarely (79% in place of
        95% with 100 items at an accuracy of 0.97), and where all items are right it is a point. Clusters count as
        fewer independent items, p (1 - p) / SE², and parts of a point as more; Student's t widens it (a Wilson interval
        with the effective sample size; compared by Franco et al., 2019, Journal of Survey Statistics and Methodology).
        Of all other scores the t interval, with as many degrees of freedom as there are effective clusters.
        """
        if not self.shares:
            return self.estimate.interval(confidence)
        share, error = self.estimate.value, self.estimate.standard_error
        if self.right_or_wrong and self.clusters == self.items:
            return _score_interval(share, self.items, confidence)
        if math.isnan(error):
            return 0.0, 1.0
        # Where all scores are the same, nothing says that a cluster holds more than one independent item.
        effective = share * (1 - share) / error**2 if error > 0 else self.clusters
        most = self.items if self.right_or_wrong else math.inf
        return _score_interval(share, min(most, effective), confidence, self.estimate.degrees_of_freedom)


def level(scores: TaskScores) -> Level:
    """The mean over items, sum(w s) / sum(w), with naive and clustered standard errors (see `ratio`)."""
    totals = scores.scores * scores.weights
    estimate = ratio(totals, scores.weights, scores.clusters)
    naive = ratio(totals, scores.weights)
    same = bool(np.all(scores.weights == scores.weights[0]))
    return Level(
        estimate=estimate,
        naive_error=naive.standard_error,
        items=len(scores.items),
        clusters=len(set(scores.clusters.tolist())),
        right_or_wrong=scores.right_or_wrong,
        shares=same and bool(np.all((scores.scores >= 0) & (scores.scores <= 1))),
    )


def _score_interval(
    share: float, items: float, confidence: float, degrees_of_freedom: float = math.inf
) -> tuple[float, float]:
    """Wilson's interval, by Student's t where degrees of freedom are few."""
    return score_interval(share, items, float(student.ppf((1 + confidence) / 2, degrees_of_freedom)))
