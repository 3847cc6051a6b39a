"""How good the mixtures are that a solver finds from a small table, and how far its intervals can be trusted.

    python benchmarks/solver.py

Tables are synthetic: laws are drawn, and runs measured with noise, also where the truth is not of the law's form.
Regret is the true objective at the mixture found less that at the best one, in units of what the best one gains over
the prior: 0 is perfect, 1 as good as the prior, above 1 worse. Prints a Markdown table, and a line of JSON at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from sapwood.mixture.laws import Array, Law
from sapwood.mixture.solution import Goal
from sapwood.mixture.solve import Program, Solution, solve
from sapwood.mixture.swarm import Swarm

DOMAINS, METRICS, NOISE, PULL = 6, 4, 0.005, 0.05
SIZES = (9, 14, 21, 42)
Truth = Callable[[Array], Array]
"""Mixtures [rows, domains] to losses [rows, metrics]."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=20, help="tables of each kind and size")
    parser.add_argument("--resamples", type=int, default=100)
    arguments = parser.parse_args()
    print("| truth | rows | best row | ridge | SLSQP, own fit | Sapwood | within the interval | seconds |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|")
    lines = []
    for kind in ("law", "law, a tenth of the losses off by 0.1", "power"):
        for rows in SIZES:
            found = [run(kind, rows, seed, arguments.resamples) for seed in range(arguments.tables)]
            line: dict[str, Any] = {"truth": kind, "rows": rows}
            for name in found[0]:
                values = [result[name] for result in found]
                line[name] = float(
                    np.max(values)
                    if name == "gap"
                    else np.mean(values)
                    if name in ("covered", "seconds")
                    else np.median(values)
                )
            lines.append(line)
            regrets = " | ".join(f"{line[name]:.3f}" for name in ("best row", "ridge", "slsqp", "ours"))
            print(f"| {kind} | {rows} | {regrets} | {line['covered']:.0%} | {line['seconds']:.1f} |", flush=True)
    print(f"\nAt most {max(line['gap'] for line in lines):.0e} above SLSQP on the same laws.")
    print(json.dumps(lines))


def run(kind: str, rows: int, seed: int, resamples: int) -> dict[str, float]:
    chance = np.random.default_rng([seed, rows])
    truth = draw_truth(kind, chance)
    prior = chance.dirichlet(np.full(DOMAINS, 3.0))
    mixtures = chance.dirichlet(8 * prior + 0.2, rows)
    losses = truth(mixtures) + chance.normal(0, NOISE, (rows, METRICS))
    if "off" in kind:
        losses += 0.1 * chance.choice([-1, 0, 1], (rows, METRICS), p=[0.05, 0.9, 0.05])
    caps = np.minimum(1, 4 * prior)
    goal = Goal(np.full(METRICS, 1 / METRICS), prior, PULL, caps)
    names = tuple(f"domain-{i}" for i in range(DOMAINS)), tuple(f"metric-{i}" for i in range(METRICS))
    swarm = Swarm(*names, mixtures, losses, tuple(map(str, range(rows))))

    def worth(mixture: Array) -> float:
        return objective(mixture, goal, lambda p: truth(p[None])[0])

    best = min((slsqp(goal, lambda p: truth(p[None])[0], chance) for _ in range(3)), key=worth)
    started = time.perf_counter()
    solution = solve(swarm, goal, resamples=resamples)
    seconds = time.perf_counter() - started
    ridge = Ridge(alpha=1e-3).fit(mixtures, losses)
    laws = plain_laws(swarm, chance)
    candidates = {
        "best row": solution.best.mixture,
        "ridge": slsqp(goal, lambda p: ridge.predict(p[None])[0], chance),
        "slsqp": slsqp(goal, lambda p: np.array([law.predict(p) for law in laws]), chance),
        "ours": solution.chosen.mixture,
    }
    gain = worth(prior) - worth(best)
    return {
        **{name: (worth(mixture) - worth(best)) / gain for name, mixture in candidates.items()},
        "covered": covered(solution, truth),
        "seconds": seconds,
        "gap": objective_gap(goal, solution),
    }


def draw_truth(kind: str, chance: np.random.Generator) -> Truth:
    """Every metric gains from one domain most. `law` is of the form that is fitted, `power` is not."""
    floors = chance.uniform(0.5, 1.0, METRICS)
    strength = chance.gamma(1.0, 0.6, (METRICS, DOMAINS))
    strength[np.arange(METRICS), chance.permutation(DOMAINS)[:METRICS]] += 1.5
    if kind != "power":
        return lambda p: floors + np.exp(-p @ strength.T)
    # Each domain adds to an effective amount of data, and the loss is a power of it.
    return lambda p: floors + 0.5 * (0.05 + p @ strength.T) ** -0.4


def objective(mixture: Array, goal: Goal, losses: Callable[[Array], Array]) -> float:
    some = mixture > 0
    divergence = float(np.sum(mixture[some] * np.log(mixture[some] / goal.prior[some])))
    return float(goal.weights @ losses(mixture)) + goal.pull * divergence


def slsqp(goal: Goal, losses: Callable[[Array], Array], chance: np.random.Generator, starts: int = 10) -> Array:
    """The plain alternative: a general optimiser from many random mixtures."""
    found = []
    for _ in range(starts):
        result = minimize(
            objective,
            chance.dirichlet(np.ones(DOMAINS)),
            (goal, losses),
            method="SLSQP",
            bounds=[(1e-9, cap) for cap in goal.caps],
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"maxiter": 200, "ftol": 1e-9},
        )
        mixture = np.clip(result.x, 0, goal.caps)
        found.append(mixture / mixture.sum())
    return min(found, key=lambda p: objective(p, goal, losses))


def plain_laws(swarm: Swarm, chance: np.random.Generator) -> list[Law]:
    """The same law by least squares from ten random starts: no Huber loss, no starts from the linear problem."""
    laws = []
    for losses in swarm.losses.T:

        def error(x: Array, losses: Array = losses) -> float:
            return float(np.sum((np.exp(x[0]) + np.exp(np.minimum(swarm.mixtures @ x[1:], 30)) - losses) ** 2))

        starts = [chance.normal(-0.5, 1, DOMAINS + 1) for _ in range(10)]
        best = min((minimize(error, start, method="L-BFGS-B") for start in starts), key=lambda found: found.fun)
        laws.append(Law(float(np.exp(best.x[0])), best.x[1:]))
    return laws


def covered(solution: Solution, truth: Truth) -> float:
    """1 where the interval of the change from the prior holds the true change of the weighted mean."""
    low, high = solution.chosen.interval(since=solution.prior)
    there, here = truth(np.array([solution.chosen.mixture, solution.prior.mixture])) @ solution.goal.weights
    return float(low[-1] <= there - here <= high[-1])


def objective_gap(goal: Goal, solution: Solution) -> float:
    """How much better SLSQP does than the convex solver on the same laws: at most rounding, if both are right."""

    def losses(p: Array) -> Array:
        return np.array([law.predict(p) for law in solution.laws])

    other = slsqp(goal, losses, np.random.default_rng(0))
    return objective(Program(goal).solve(solution.laws), goal, losses) - objective(other, goal, losses)


if __name__ == "__main__":
    main()
