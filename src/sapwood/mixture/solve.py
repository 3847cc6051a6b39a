"""The best mixture by fitted laws: a convex program under caps on repetition, pulled towards a prior.

    minimise  sum_m w_m exp(t_m . p) + pull * KL(p || prior)   over mixtures p with p_i <= cap_i

after OlmixBase (2602.12237). The floors of the laws do not depend on the mixture and are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import numpy as np

from sapwood.errors import SapwoodError
from sapwood.mixture.laws import Array, HeldOut, Law, cross_validate, fit_law, make_folds
from sapwood.mixture.solution import Goal, Predicted, Solution, find_warnings
from sapwood.mixture.swarm import Swarm
from sapwood.recipe.units import show_tokens

MAX_EPOCHS = 4.0
"""Up to about four epochs, repeated text is worth nearly as much as new text (2305.16264)."""
RESAMPLES = 200
_TOLERANCES = {
    **dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-11),
    **dict.fromkeys(("reduced_tol_gap_abs", "reduced_tol_gap_rel", "reduced_tol_feas"), 1e-8),
}
"""What the solver tries to reach, and what it must. The optimum is flat: 1e-8 in the objective is 1e-4 in a share."""


class Program:
    """The convex program of a goal, compiled once and solved for as many laws as wanted.

    Raises SapwoodError where its parts are not installed, or where no mixture meets the caps.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        # Where the prior is 0 the divergence is infinite, and a cap of 0 leaves nothing to choose.
        self._open = (goal.caps > 0) & ((goal.prior > 0) | (goal.pull == 0))
        room = goal.caps[self._open].sum()
        if room < 1 - 1e-9:
            raise SapwoodError(f"The caps, over domains that the prior has, sum to {room:.4g}: no mixture meets them.")
        self._forced = room <= 1 + 1e-9
        self._cvxpy = cvxpy = _import_cvxpy()
        count = int(self._open.sum())
        self._shares = cvxpy.Variable(count, nonneg=True)
        self._exponents = cvxpy.Parameter((len(goal.weights), count))
        # Of order 1 whatever the pull, as the solver's tolerances expect.
        scale = 1 / (1 + goal.pull)
        objective = scale * goal.weights @ cvxpy.exp(self._exponents @ self._shares)
        if goal.pull:
            objective += scale * goal.pull * cvxpy.sum(cvxpy.kl_div(self._shares, goal.prior[self._open]))
        limits = [cvxpy.sum(self._shares) == 1, self._shares <= goal.caps[self._open]]
        self._problem = cvxpy.Problem(cvxpy.Minimize(objective), limits)

    def solve(self, laws: Sequence[Law]) -> Array:
        """The best mixture [domains] by these laws, one for every metric; exactly within the caps."""
        mixture, caps = np.zeros(len(self.goal.caps)), self.goal.caps[self._open]
        if self._forced:
            mixture[self._open] = caps / caps.sum()
            return mixture
        self._exponents.value = np.array([law.exponents[self._open] for law in laws])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # cvxpy's, where only the reduced ones are met
            with suppress(self._cvxpy.error.SolverError):
                self._problem.solve(solver="CLARABEL", **_TOLERANCES)
        if self._shares.value is None:
            raise SapwoodError(
                f"The solver found no mixture ({self._problem.status}). The laws' exponents go up to "
                f"{np.abs(self._exponents.value).max():.3g}: measure more mixtures, or leave out a metric."
            )
        shares = np.clip(self._shares.value, 0, caps)
        room = caps - shares
        missing = 1 - shares.sum()  # of the order of the solver's tolerance
        mixture[self._open] = shares + missing * room / room.sum() if missing > 0 else shares / shares.sum()
        return mixture


def solve(
    swarm: Swarm,
    goal: Goal,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    advance: Callable[[int], object] = lambda amount: None,
) -> Solution:
    """Fits a law to every metric, checks it on rows held out, and solves for the best mixture.

    Intervals come from a bootstrap over the rows: laws are fitted, and the program solved, for `resamples` tables drawn
    with replacement. `advance` is told of `work(swarm, resamples)` steps. Raises SapwoodError as `Program` does.
    """
    program = Program(goal)
    rng = np.random.default_rng(seed)
    folds = make_folds(swarm.mixtures, rng)
    laws: list[Law] = []
    held_out: list[HeldOut] = []
    for losses in swarm.losses.T:
        laws.append(fit_law(swarm.mixtures, losses, rng))
        held_out.append(cross_validate(swarm.mixtures, losses, laws[-1], folds))
        advance(1)
    best_row = _best_row(swarm, goal)
    points = np.array([program.solve(laws), goal.prior, swarm.mixtures[best_row]])
    losses_by_draw = np.zeros((resamples, 3, len(laws)))
    draws = np.zeros((resamples, len(swarm.domains)))
    for draw in range(resamples):
        rows = rng.integers(0, len(swarm.mixtures), len(swarm.mixtures))
        fitted = [
            fit_law(swarm.mixtures[rows], losses[rows], rng, near=law)
            for losses, law in zip(swarm.losses.T, laws, strict=True)
        ]
        losses_by_draw[draw] = np.array([law.predict(points) for law in fitted]).T
        draws[draw] = program.solve(fitted)
        advance(1)
    losses_at = np.array([law.predict(points) for law in laws]).T
    chosen, prior, best = (
        Predicted(point, _with_mean(losses_at[number], goal), _with_mean(losses_by_draw[:, number], goal))
        for number, point in enumerate(points)
    )
    outside = share_outside(points[0], swarm.mixtures)
    solution = Solution(
        swarm, goal, tuple(laws), tuple(held_out), chosen, prior, best, best_row, draws, outside, warnings=()
    )
    return replace(solution, warnings=tuple(find_warnings(solution)))


def work(swarm: Swarm, resamples: int = RESAMPLES) -> int:
    """The steps that `solve` reports."""
    return len(swarm.metrics) + resamples


def repetition_caps(
    tokens: Mapping[str, int], budget: int, domains: Sequence[str], max_epochs: float = MAX_EPOCHS
) -> Array:
    """The largest share of each domain [domains] that a budget of tokens leaves: `max_epochs * tokens / budget`.

    Domains without a number of tokens have no cap. Raises SapwoodError where all caps together do not fill the budget.
    """
    caps = np.array([min(1.0, max_epochs * tokens[name] / budget) if name in tokens else 1.0 for name in domains])
    if caps.sum() < 1 - 1e-9:
        available = sum(tokens.values())
        raise SapwoodError(
            f"{max_epochs:g} epochs of {show_tokens(available)} tokens fill {caps.sum():.0%} of a budget of "
            f"{show_tokens(budget)}: no mixture meets the caps. Take a budget of at most "
            f"{show_tokens(int(max_epochs * available))}, more epochs, or more text."
        )
    return caps


def share_outside(mixture: Array, observed: Array) -> float:
    """How far a mixture [domains] is from every blend of the observed ones [rows, domains], in total variation.

    0 where the laws interpolate. A linear program in the blend's weights and each domain's excess and lack.
    """
    from scipy.optimize import linprog

    rows, domains = observed.shape
    cost = np.r_[np.zeros(rows), np.full(2 * domains, 0.5)]
    balance = np.c_[observed.T, np.eye(domains), -np.eye(domains)]
    total = np.r_[np.ones(rows), np.zeros(2 * domains)]
    found = linprog(cost, A_eq=np.vstack([balance, total]), b_eq=np.r_[mixture, 1.0], method="highs")
    return max(0.0, float(found.fun))


def _best_row(swarm: Swarm, goal: Goal) -> int:
    """The first row of the mixture within the caps, if any is, that has the lowest weighted loss.

    Rows of the same mixture count by their mean.
    """
    mixtures, first, groups = np.unique(swarm.mixtures.round(9), axis=0, return_index=True, return_inverse=True)
    means = np.bincount(groups.ravel(), swarm.losses @ goal.weights) / np.bincount(groups.ravel())
    allowed = (mixtures <= goal.caps + 1e-9).all(axis=1)
    return int(first[np.where(allowed | ~allowed.any(), means, np.inf).argmin()])


def _with_mean(losses: Array, goal: Goal) -> Array:
    return np.concatenate([losses, (losses @ goal.weights)[..., None]], axis=-1)


def _import_cvxpy() -> ModuleType:
    try:
        return import_module("cvxpy")
    except ImportError:
        raise SapwoodError("Solving needs cvxpy, which is not installed: pip install 'sapwood[solve]'") from None
