"""Paired changes of bits per byte, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    standard_error: float
    """NaN when it cannot be estimated (fewer than two documents)."""
    degrees_of_freedom: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval by Student's t; infinite when the standard error is unknown."""
        if math.isnan(self.standard_error):
            return -math.inf, math.inf
        if self.standard_error == 0:
            return self.value, self.value
        half = float(student.ppf((1 + confidence) / 2, self.degrees_of_freedom)) * self.standard_error
        return self.value - half, self.value + half


def ratio(numerators: ArrayLike, denominators: ArrayLike) -> Estimate:
    """The ratio of two sums over documents, sum(a) / sum(b), such as bits to bytes, with its standard error.

    The standard error is that of the linearised ratio estimator (Cochran, Sampling Techniques, 1977, section 2.11):
    sqrt(n / (n - 1) * sum((a_i - R b_i)^2)) / sum(b). Documents are the independent units.
    """
    a, b = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if len(a) == 0 or b.sum() == 0:
        raise ValueError("a ratio needs at least one document that is not empty")
    value = float(a.sum() / b.sum())
    if len(a) < 2:
        return Estimate(value, math.nan, math.nan)
    residual = float(np.sum((a - value * b) ** 2))
    error = math.sqrt(len(a) / (len(a) - 1) * residual) / float(b.sum())
    return Estimate(value, error, len(a) - 1)


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
