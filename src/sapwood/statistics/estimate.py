"""Estimates with their uncertainty: ratios and means over items that may come in clusters, and the t interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sapwood.statistics import student

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    standard_error: float
    """NaN when it cannot be estimated (fewer than two items or clusters)."""
    degrees_of_freedom: float
    """Infinite for the normal distribution."""
    parts: tuple[Estimate, ...] = ()
    """The same value with the error of each source of noise, such as seeds and items, where there are several: the
    interval is by each with its own degrees of freedom."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval by Student's t; infinite when the standard error is unknown.

        Of several parts, its half-width is the root of the summed squares of their half-widths (Howe, 1974, JASA
        69:789; Graybill and Wang, 1980, JASA 75:869, for sums of variances). Satterthwaite's degrees of freedom for the
        sum cover too little with two to four seeds, and a bootstrap of seeds and items far too little.
        """
        if self.parts:
            half = math.hypot(*(part.value - part.interval(confidence)[0] for part in self.parts))
            return self.value - half, self.value + half
        if math.isnan(self.standard_error):
            return -math.inf, math.inf
        if self.standard_error == 0:
            return self.value, self.value
        half = float(student.ppf((1 + confidence) / 2, self.degrees_of_freedom)) * self.standard_error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float:
        """Of a true value of zero, two-sided: below 1 - confidence exactly where the interval leaves out zero."""
        if math.isnan(self.standard_error) or self.value == 0:
            return 1.0
        if self.standard_error == 0:
            return 0.0
        if self.parts:
            return self._p_value_of_parts()
        return float(2 * student.sf(abs(self.value) / self.standard_error, self.degrees_of_freedom))

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit, of which there are `factor` times as many."""
        parts = tuple(part.scaled(factor) for part in self.parts)
        return Estimate(factor * self.value, factor * self.standard_error, self.degrees_of_freedom, parts)

    def beyond(self, errors: float) -> bool:
        """Whether it is farther from zero than so many of its standard errors; with 0 of them, whether it is not zero.

        Never where the standard error is unknown, unless none is asked for.
        """
        return abs(self.value) > (errors * self.standard_error if errors else 0.0)

    def _p_value_of_parts(self) -> float:
        from scipy.optimize import brentq

        variances = [part.standard_error**2 for part in self.parts]
        freedom = [part.degrees_of_freedom for part in self.parts]

        def excess(log_p: float) -> float:
            quantiles = student.isf(math.exp(log_p) / 2, freedom)
            return float(np.dot(quantiles**2, variances)) - self.value**2

        return math.exp(brentq(excess, -300.0, 0.0)) if excess(-300.0) > 0 else 0.0


def ratio(numerators: ArrayLike, denominators: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """The ratio of two sums over items, R = sum(a) / sum(b), such as bits to bytes, with its standard error.

    `clusters` gives every item a label; items of one label belong together (questions on one passage), and the clusters
    are the independent units. Without it, the items are. With a_c and b_c the sums of a cluster and h_c = b_c / sum(b):

        SE² = sum_c((a_c - R b_c)² / l_c) / sum(b)²        l_c = what is `left` of the variance in the residual
        degrees of freedom = 1 / sum_c(h_c²) - 1

    This is the linearised ratio estimator (Cochran, Sampling Techniques, 1977, section 2.11), clustered as in Miller
    (arXiv 2411.00640), with the small-sample correction CR2 of Bell and McCaffrey (2002, Survey Methodology 28:169),
    which for a mean has a closed form, and Kish's effective number of clusters (1965) in place of their number. In
    C clusters of one size these are the familiar factor C / (C - 1), and C - 1. NaN with fewer than two clusters.
    """
    a, b = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if len(a) == 0 or b.sum() == 0:
        raise ValueError("a ratio needs at least one document that is not empty")
    if clusters is not None:
        a, b = cluster_sums(a, clusters), cluster_sums(b, clusters)
    value = float(a.sum() / b.sum())
    if np.count_nonzero(b) < 2:
        return Estimate(value, math.nan, math.nan)
    share = b / b.sum()
    squares = float(np.sum(share**2))
    error = math.sqrt(float(np.sum((a - value * b) ** 2 / left(share, squares)))) / float(b.sum())
    return Estimate(value, error, 1 / squares - 1)


def weighted_mean(values: Floats, weights: Floats) -> float:
    """sum(w x) / sum(w)."""
    return float(np.average(values, weights=weights))


def left(shares: Floats, squares: float | Floats) -> Floats:
    """The part of a cluster's variance that is left in its residual from the mean, to which it has drawn the mean.

    Of clusters with the `shares` h, whose squares sum to `squares`: 1 - h where the variance of a cluster's mean falls
    with its size, 1 - 2 h + sum(h²) where it does not (its items are as one). Which it is is not known; the smaller
    counts, so that large clusters do not hide their noise.
    """
    return np.minimum(1 - shares, 1 - 2 * shares + squares)


def cluster_sums(values: ArrayLike, clusters: ArrayLike) -> Floats:
    """The sum of the values of every cluster, in the order of the clusters' labels."""
    places = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return np.bincount(places, np.asarray(values, dtype=np.float64)).astype(np.float64)


def widened(estimate: Estimate, items: int, more: Sequence[float]) -> Estimate:
    """The estimate of a mean over `items`, its standard error as if further items had been off the mean by `more`.

    For what is rare: where no item happened to differ, the plain standard error is zero, and would show anything.
    """
    squares = (estimate.standard_error * items) ** 2 + sum(value**2 for value in more)
    return replace(estimate, standard_error=math.sqrt(squares) / (items + len(more)))


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of independent estimates, such as one change for every source of a group.

    Degrees of freedom by Welch and Satterthwaite.
    """
    value = sum(estimate.value for estimate in estimates) / len(estimates)
    variances = [(estimate.standard_error / len(estimates)) ** 2 for estimate in estimates]
    total = sum(variances)
    if math.isnan(total) or total == 0:
        return Estimate(value, math.sqrt(total), math.inf if total == 0 else math.nan)
    spread = sum(v**2 / estimate.degrees_of_freedom for v, estimate in zip(variances, estimates, strict=True))
    return Estimate(value, math.sqrt(total), total**2 / spread)
