"""The law that says which loss a mixture ends in, fitted to small runs, and what it is worth on runs it has not seen.

The form is that of Data Mixing Laws (2403.16952) as OlmixBase (2602.12237) uses it: for every metric
`loss(p) = floor + exp(exponents . p)`. The shares sum to 1, so that the exponents hold the scale too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HUBER_DELTA = 0.02
"""The residual, in the unit of the loss, beyond which the fit counts it linearly (2602.12237)."""
RANDOM_STARTS = 24
FLOORS = (0.01, 0.3, 0.6, 0.8, 0.9, 0.97)
"""Fractions of the lowest loss that are tried as the floor: given the floor, the rest is a linear problem."""
LEAVE_ONE_OUT_UP_TO = 30
FOLDS = 10
EXPONENTS = (-50.0, 15.0)
"""Where exponents may lie. Real ones are of order 1; those of a law fitted to noise would run away."""


@dataclass(frozen=True, slots=True)
class Law:
    """The loss of one metric as a function of the mixture: `floor + exp(exponents . mixture)`."""

    floor: float
    """What no mixture goes below, in the unit of the loss."""
    exponents: Array
    """One for every domain: the more negative, the more the domain's share lowers the loss."""

    def predict(self, mixtures: Array) -> Array:
        """The losses of mixtures [..., domains], as [...]."""
        return self.floor + np.exp(np.asarray(mixtures) @ self.exponents)


def fit_law(mixtures: Array, losses: Array, rng: np.random.Generator, *, near: Law | None = None) -> Law:
    """The law with the least Huber loss over the rows.

    `mixtures` is [rows, domains], `losses` [rows] and positive. L-BFGS from many starts: the solutions of the linear
    problem that a fixed floor leaves, and random ones around them. With `near`, the law of almost the same rows, that
    and one linear start are enough.
    """
    from scipy.optimize import minimize

    starts = _linear_starts(mixtures, losses)
    if near is None:
        starts += _random_starts(starts, len(mixtures.T), rng)
    else:
        starts = [np.r_[np.log(near.floor), near.exponents], starts[len(starts) // 2]]
    bounds = [(np.log(losses.min()) - 7, np.log(losses.max())), *[EXPONENTS] * len(mixtures.T)]
    found = [
        minimize(
            _objective,
            start,
            (mixtures, losses),
            method="L-BFGS-B",
            jac=True,
            bounds=bounds,
            options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-9},
        )
        for start in starts
    ]
    best = min(found, key=lambda result: result.fun).x
    return Law(float(np.exp(best[0])), best[1:])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a law is worth on rows that it was not fitted to, beside predicting the mean of the others."""

    error: float
    """Root mean square error, in the unit of the loss."""
    baseline_error: float
    """The same of the mean of the other folds."""
    rank_correlation: float
    """Spearman's, of predictions and losses; NaN where either does not vary."""
    folds: int

    @property
    def r_squared(self) -> float:
        """The share of the baseline's squared error that the law saves: 1 is perfect, below 0 worse than the mean."""
        return 1 - (self.error / self.baseline_error) ** 2 if self.baseline_error > 0 else float("nan")


def cross_validate(mixtures: Array, losses: Array, law: Law, folds: Sequence[int]) -> HeldOut:
    """Fits anew without each fold (see `make_folds`) and predicts it. `law` is the one fitted to all rows."""
    from scipy.stats import spearmanr

    numbers = np.asarray(folds)
    predictions, means = np.empty_like(losses), np.empty_like(losses)
    rng = np.random.default_rng(0)  # not drawn from: the refits begin at known starts
    for number in range(numbers.max() + 1):
        out = numbers == number
        predictions[out] = fit_law(mixtures[~out], losses[~out], rng, near=law).predict(mixtures[out])
        means[out] = losses[~out].mean()
    varies = np.ptp(predictions) > 0 and np.ptp(losses) > 0
    return HeldOut(
        error=float(np.sqrt(np.mean((predictions - losses) ** 2))),
        baseline_error=float(np.sqrt(np.mean((means - losses) ** 2))),
        rank_correlation=float(spearmanr(predictions, losses).statistic) if varies else float("nan"),
        folds=int(numbers.max()) + 1,
    )


def make_folds(mixtures: Array, rng: np.random.Generator) -> list[int]:
    """The fold of every row: one for every different mixture, or, beyond 30 of them, ten of equal size.

    Rows of the same mixture, such as several seeds, are held out together: else the law would have seen it.
    """
    _, groups = np.unique(mixtures.round(9), axis=0, return_inverse=True)
    number = int(groups.max()) + 1
    order = rng.permutation(number)
    folds = order if number <= LEAVE_ONE_OUT_UP_TO else order % FOLDS
    return [int(folds[group]) for group in groups.ravel()]


def _objective(parameters: Array, mixtures: Array, losses: Array) -> tuple[float, Array]:
    """The mean of the Huber loss in units of delta², and its gradient by (log floor, exponents)."""
    floor = np.exp(parameters[0])
    rest = np.exp(mixtures @ parameters[1:])
    residual = (floor + rest - losses) / HUBER_DELTA
    clipped = np.clip(residual, -1, 1)
    value = np.mean(clipped * (residual - clipped / 2))
    slope = clipped / (HUBER_DELTA * len(losses))
    return float(value), np.r_[slope.sum() * floor, mixtures.T @ (slope * rest)]


def _linear_starts(mixtures: Array, losses: Array) -> list[Array]:
    """With the floor known, log(loss - floor) is linear in the mixture: weighted least squares, of least norm."""
    starts = []
    for fraction in FLOORS:
        floor = fraction * losses.min()
        rest = losses - floor
        # Weighted by the rest: an error of the loss is larger in its logarithm where little is left.
        exponents = np.linalg.lstsq(mixtures * rest[:, None], np.log(rest) * rest, rcond=1e-8)[0]
        starts.append(np.r_[np.log(floor), exponents])
    return starts


def _random_starts(linear: list[Array], domains: int, rng: np.random.Generator) -> list[Array]:
    return [
        linear[number % len(linear)] + np.r_[rng.normal(0, 0.5), rng.normal(0, 1, domains)]
        for number in range(RANDOM_STARTS)
    ]
