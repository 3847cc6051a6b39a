"""A solved mixture: what the laws say of it, how sure they are, and what should be known before it is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapwood.mixture.laws import Array, HeldOut, Law
from sapwood.mixture.swarm import Swarm

CONFIDENCE = 0.95
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_BINDS_WITHIN = 1e-5
_BEYOND = 0.02
"""By how much a share may leave the observed range before that is worth a warning."""
_OUTSIDE = 0.1


@dataclass(frozen=True, slots=True)
class Goal:
    """What the best mixture is to be best at."""

    weights: Array
    """[metrics]; they sum to 1, so that `pull` means the same for one metric and for fifty."""
    prior: Array
    """[domains]; sums to 1. With a pull, what it holds none of stays out."""
    pull: float
    """In the unit of the loss: what a mixture must save for each nat that it is away from the prior."""
    caps: Array
    """[domains]; the largest share of each, 1 where nothing limits it."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the laws say of one mixture, and how sure they are of it."""

    mixture: Array
    losses: Array
    """[metrics + 1]; the last is their weighted mean."""
    draws: Array
    """[resamples, metrics + 1]: the same by laws fitted to resampled rows."""

    def interval(self, since: Predicted | None = None) -> tuple[Array, Array]:
        """The 95% interval of the mean loss, or of its change since another mixture: two arrays [metrics + 1].

        It is of the loss that runs of this mixture have on average; a single run scatters around it.
        """
        low, high = np.quantile(self.draws - (0 if since is None else since.draws), _TAILS, axis=0)
        return low, high


@dataclass(frozen=True, slots=True)
class Solution:
    """The best mixture by the laws, and all that should be known before it is trusted."""

    swarm: Swarm
    goal: Goal
    laws: tuple[Law, ...]
    held_out: tuple[HeldOut, ...]
    chosen: Predicted
    """The solution."""
    prior: Predicted
    best: Predicted
    """The mixture of the table, within the caps if any is, with the lowest weighted mean of measured losses."""
    best_row: int
    """Its first row."""
    draws: Array
    """[resamples, domains]: the solutions by laws fitted to resampled rows."""
    outside: float
    """The share of the solution that no blend of the table's mixtures covers (total variation)."""
    warnings: tuple[str, ...]

    @property
    def share_interval(self) -> tuple[Array, Array]:
        """Where 95% of the solutions from resampled rows lie: two arrays [domains]."""
        low, high = np.quantile(self.draws, _TAILS, axis=0)
        return low, high

    @property
    def binding(self) -> NDArray[np.bool_]:
        """Which caps the solution meets, as [domains]: more text there would change it."""
        return (self.goal.caps < 1) & (self.chosen.mixture >= self.goal.caps - _BINDS_WITHIN)

    def to_json(self, seed: int) -> dict[str, Any]:
        """All of it but the single draws, as JSON. What is not known is null."""
        swarm, goal = self.swarm, self.goal
        low, high = self.share_interval
        domains = [
            {
                "name": name,
                "share": float(self.chosen.mixture[i]),
                "interval": [float(low[i]), float(high[i])],
                "prior": float(goal.prior[i]),
                "observed": [float(swarm.mixtures[:, i].min()), float(swarm.mixtures[:, i].max())],
                "cap": float(goal.caps[i]) if goal.caps[i] < 1 else None,
                "binds": bool(self.binding[i]),
            }
            for i, name in enumerate(swarm.domains)
        ]
        metrics = [
            {
                "name": name,
                "weight": float(goal.weights[i]),
                "law": {
                    "floor": law.floor,
                    "exponents": dict(zip(swarm.domains, law.exponents.tolist(), strict=True)),
                },
                "held_out": {
                    "folds": held_out.folds,
                    "error": held_out.error,
                    "baseline_error": held_out.baseline_error,
                    "r_squared": _known(held_out.r_squared),
                    "rank_correlation": _known(held_out.rank_correlation),
                },
                **self._predictions(i),
            }
            for i, (name, law, held_out) in enumerate(zip(swarm.metrics, self.laws, self.held_out, strict=True))
        ]
        return {
            "domains": domains,
            "metrics": metrics,
            "weighted_mean": self._predictions(len(metrics)),
            "best_observed": {
                "place": swarm.places[self.best_row],
                "mixture": dict(zip(swarm.domains, self.best.mixture.tolist(), strict=True)),
            },
            "pull": goal.pull,
            "outside": self.outside,
            "rows": len(swarm.mixtures),
            "different_mixtures": swarm.different,
            "confidence": CONFIDENCE,
            "resamples": len(self.draws),
            "seed": seed,
            "warnings": list(self.warnings),
        }

    def _predictions(self, metric: int) -> dict[str, Any]:
        predicted = {"prior": self.prior, "best_observed": self.best, "solution": self.chosen}
        found: dict[str, Any] = {}
        for name, point in predicted.items():
            low, high = point.interval()
            found[name] = {"loss": float(point.losses[metric]), "interval": [float(low[metric]), float(high[metric])]}
        for name, point in (("change_from_prior", self.prior), ("change_from_best_observed", self.best)):
            low, high = self.chosen.interval(since=point)
            change = float(self.chosen.losses[metric] - point.losses[metric])
            found[name] = {"loss": change, "interval": [float(low[metric]), float(high[metric])]}
        return found


def find_warnings(solution: Solution) -> Iterator[str]:
    """What should be known before the solution is trusted, in sentences."""
    swarm, goal = solution.swarm, solution.goal
    parameters, mixture = len(swarm.domains) + 1, solution.chosen.mixture
    if swarm.different < parameters:
        yield (
            f"{swarm.different} different mixtures, but every law has {parameters} parameters: the laws are guesses. "
            f"Measure at least {parameters}, better {3 * parameters}."
        )
    elif swarm.different < 2 * parameters:
        yield (
            f"{swarm.different} different mixtures for {parameters} parameters of every law are few; "
            f"{3 * parameters} are better."
        )
    if swarm.directions < min(len(swarm.domains), swarm.different):
        yield (
            f"The mixtures vary in {swarm.directions} of {len(swarm.domains)} directions: some domains always go "
            "together, and the laws cannot tell them apart. Measure mixtures that part them."
        )
    for name, weight, held_out in zip(swarm.metrics, goal.weights, solution.held_out, strict=True):
        if weight > 0 and not held_out.error < held_out.baseline_error:
            yield (
                f"The law of '{name}' predicts held-out rows no better than their mean does "
                f"({held_out.error:.4f} against {held_out.baseline_error:.4f}): it knows nothing of the mixture."
            )
    for i, name in enumerate(swarm.domains):
        lowest, highest = swarm.mixtures[:, i].min(), swarm.mixtures[:, i].max()
        if mixture[i] > highest + _BEYOND:
            yield f"'{name}' gets {mixture[i]:.1%}, and the largest share observed is {highest:.1%}."
        elif mixture[i] < lowest - _BEYOND:
            yield f"'{name}' gets {mixture[i]:.1%}, and the smallest share observed is {lowest:.1%}."
        if goal.prior[i] == 0 and goal.pull > 0:
            yield f"The prior has none of '{name}', so the pull keeps it out. Give it a share, or set the pull to 0."
    if solution.outside > _OUTSIDE:
        yield (
            f"{solution.outside:.0%} of the solution lies outside every blend of the observed mixtures: the laws "
            "extrapolate. Measure mixtures near it, or pull harder."
        )
    if (solution.best.mixture > goal.caps + _BINDS_WITHIN).any():
        yield "No observed mixture is within the caps; the best one is shown to compare with only."
    if solution.chosen.interval(since=solution.prior)[1][-1] >= 0:
        yield "The change from the prior may as well be none: its interval holds 0."
    elif solution.chosen.interval(since=solution.best)[1][-1] >= 0:
        less = " Pull less to go further from the prior." if goal.pull else ""
        yield f"The laws do not show the solution to be better than the best observed mixture within the caps.{less}"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
