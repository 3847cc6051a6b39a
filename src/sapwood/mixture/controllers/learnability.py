"""Shares follow what is learned fastest: adaptive data optimisation (ADO, arXiv 2410.11820), on held-out losses.

Of every sibling the loss L in bits per byte is kept beside n, the tokens of it seen so far, and the power law

    L(n) = epsilon + beta * n^(-alpha),   0 < alpha <= 0.8, epsilon >= 0, beta >= 0

is fitted. Its slope, alpha * (L(n) - epsilon) / n, is what one more token of it is worth. The proposed shares are

    q_i  proportional to  slope_i * mu_i * sqrt(h_i)

with mu the shares when the stage began, as the prior, and h the shares now, as the credit: how much of the fall in i's
loss is due to i's own tokens. ADO fits training losses at every step and averages q over the whole run; here there is
one held-out measurement a round, and the average is the recipe's `smoothing`. In continual pre-training n must not
begin at 0, or a domain that the base model knows looks as steep as a new one: `prior` is added to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapwood.mixture.controllers import Decision, Family
from sapwood.mixture.controllers.bounds import move, reached
from sapwood.mixture.controllers.smoothing import smooth
from sapwood.mixture.controllers.static import keep
from sapwood.mixture.controllers.wording import by_more_than, cause, explain, listed
from sapwood.mixture.measured import is_judged
from sapwood.recipe.mixture import Controller
from sapwood.recipe.units import show_tokens

LEAST_MEASUREMENTS = 3
"""A curve of three parameters is fitted to so many measurements at different n, or more."""
MOST_MEASUREMENTS = 50
"""Older measurements than so many are forgotten."""
LARGEST_ALPHA = 0.8
"""ADO's bound on the exponent."""


class Learnability:
    """Raises the shares of siblings whose loss is expected to fall most with the next token."""

    def __init__(self, settings: Controller) -> None:
        """The settings of a stage's controller."""
        self._settings = settings

    def decide(self, family: Family, state: Mapping[str, Any]) -> Decision:
        """The next shares; those of now until a curve can be fitted to every sibling that is measured.

        Siblings of which nothing is held out, or one document alone, keep theirs. A sibling has slope 0 when its loss
        did not fall by more than the noise since the last measurement, or when none of it was trained on since then.
        `state` holds the measurements (n, bits per byte) by sibling, oldest first, under `history`, and the smoothed
        proposal by sibling under `proposal`.
        """
        prior = self._settings.prior or family.budget
        history = {name: [list(point) for point in points] for name, points in state.get("history", {}).items()}
        curves: dict[str, Curve | None] = {}  # None where nothing is learned
        missing = []
        for name, share in family.shares.items():
            if not share:
                continue
            measured = family.measured.get(name)
            if measured is None or not is_judged(measured, self._settings.noise):
                continue
            points = history.setdefault(name, [])
            n = prior + family.tokens.get(name, 0)
            resting = bool(points) and points[-1][0] == n
            points[:] = [*(points[:-1] if resting else points), [n, measured.bits_per_byte]][-MOST_MEASUREMENTS:]
            falls = measured.since_last is None or (
                measured.since_last.value > 0 and measured.since_last.beyond(self._settings.noise)
            )
            if resting:
                curves[name] = None
            elif len(points) < LEAST_MEASUREMENTS:
                missing.append(f"{name} has {len(points)}")
            else:
                curves[name] = fit(points) if falls else None
        remember = {"history": history, "proposal": dict(state.get("proposal", {}))}
        if not curves and not missing:
            return keep(family, "Nothing moves: nothing is measured.", remember)
        if missing:
            needed = f"a curve needs {LEAST_MEASUREMENTS} measurements of each"
            return keep(family, f"Nothing moves yet: {needed}, and {listed(sorted(missing))}.", remember)
        raw = {
            name: curve.slope * float(family.initial[name]) * math.sqrt(family.shares[name]) if curve else 0.0
            for name, curve in curves.items()
        }
        total = math.fsum(raw.values())
        proposed = {name: value / total if total else 0.0 for name, value in raw.items()}
        smoothed = remember["proposal"] = smooth(proposed, remember["proposal"], self._settings.smoothing)
        if not any(smoothed[name] for name in proposed):
            reason = f"Nothing moves: no loss fell{by_more_than(self._settings.noise)} in the last round."
            return keep(family, reason, remember)
        shares = move(family, smoothed, self._settings)
        unit = 10 ** max(int(math.log10(family.budget)) - 1, 0)
        causes = {
            name: cause(shares[name] - family.shares[name], 1 if curve and curve.slope else -1, self._fact(curve, unit))
            for name, curve in curves.items()
        }
        reasons = explain(family.shares, shares, causes, reached(family, shares, self._settings))
        return Decision(shares=shares, reasons=reasons, state=remember)

    def _fact(self, curve: Curve | None, unit: int) -> str:
        if curve is None:
            return f"its loss did not fall{by_more_than(self._settings.noise)} in the last round"
        if not curve.slope:
            return "its losses show no fall over the rounds so far"
        return f"its loss should fall by {curve.fall(unit):.3g} bits per byte with its next {show_tokens(unit)} tokens"


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted power law of a loss in bits per byte over tokens, and where on it we are."""

    epsilon: float
    """The loss that is never gone below."""
    reducible: float
    """The loss above epsilon at `n`: beta * n^(-alpha)."""
    alpha: float
    n: float
    """Tokens seen so far."""

    @property
    def slope(self) -> float:
        """The fall of the loss with one more token, in bits per byte; 0 or more."""
        return self.alpha * self.reducible / self.n

    def fall(self, tokens: int) -> float:
        """The fall of the loss with so many more tokens, in bits per byte."""
        return -self.reducible * math.expm1(-self.alpha * math.log1p(tokens / self.n))


def fit(points: Sequence[Sequence[float]]) -> Curve:
    """The power law nearest to points (n, bits per byte) by least squares; n are above 0, and the last is where we are.

    Epsilon and beta are those of non-negative least squares, exactly, for every alpha of a grid; the grid is refined
    once around its best. Few measurements over a short stretch determine the slope far better than alpha and epsilon
    apart.
    """
    n, losses = (
        np.array([point[0] for point in points], dtype=float),
        np.array([point[1] for point in points], dtype=float),
    )
    coarse = np.linspace(0.01, LARGEST_ALPHA, 80)
    spacing = coarse[1] - coarse[0]
    best = _best(n, losses, coarse)
    around = np.linspace(best.alpha - spacing, best.alpha + spacing, 41)
    return _best(n, losses, around[(around > 0) & (around <= LARGEST_ALPHA)])


def _best(n: NDArray[np.float64], losses: NDArray[np.float64], alphas: NDArray[np.float64]) -> Curve:
    """Of the power laws with these exponents, the nearest."""
    x = (n / n[-1]) ** -alphas[:, None]  # alphas x points: what the reducible loss at the end is multiplied by
    centred = x - x.mean(axis=1, keepdims=True)
    free = centred @ (losses - losses.mean()) / np.maximum((centred**2).sum(axis=1), np.finfo(float).tiny)
    through_zero = x @ losses / (x**2).sum(axis=1)  # where epsilon would be below 0
    reducible = np.where(losses.mean() - free * x.mean(axis=1) < 0, through_zero, np.maximum(free, 0))
    epsilon = np.maximum(losses.mean() - reducible * x.mean(axis=1), 0)
    residuals = ((epsilon[:, None] + reducible[:, None] * x - losses) ** 2).sum(axis=1)
    place = int(residuals.argmin())
    return Curve(float(epsilon[place]), float(reducible[place]), float(alphas[place]), float(n[-1]))
