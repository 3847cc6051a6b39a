"""Scores of two models, made up with a known change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from sapwood.statistics.items import TaskScores
from sapwood.statistics.paired import Pairs


def clusters(sizes: Sequence[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def task(
    scores: Sequence[float], labels: Sequence[int] | None = None, weights: Sequence[float] | None = None
) -> TaskScores:
    values = np.asarray(scores, dtype=float)
    return TaskScores(
        items=tuple(f"item-{i}" for i in range(len(values))),
        scores=values,
        clusters=np.arange(len(values)) if labels is None else np.asarray(labels),
        weights=np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float),
    )


def pairs(before: Sequence[float], after: Sequence[float], labels: Sequence[int] | None = None) -> Pairs:
    old, new = task(before, labels), task(after, labels)
    return Pairs(old.items, old.scores, new.scores, old.clusters, old.weights)


def right_or_wrong(
    random: np.random.Generator, labels: np.ndarray, before: float, after: float, shared: float = 0.5, tied: float = 0.6
) -> Pairs:
    """Two models of known accuracies. `shared` of an item's difficulty is the same for both; of the rest, `tied` is the
    same within a cluster."""
    count = labels.max() + 1

    def part(weight: float) -> np.ndarray:
        own, common = random.normal(size=len(labels)), random.normal(size=count)[labels]
        return np.sqrt(weight) * (np.sqrt(tied) * common + np.sqrt(1 - tied) * own)

    difficulty = part(shared)
    answers = [(difficulty + part(1 - shared) < norm.ppf(accuracy)).astype(float) for accuracy in (before, after)]
    return pairs(*answers, labels)


def real(random: np.random.Generator, labels: np.ndarray, change: float, tied: float = 0.4) -> Pairs:
    """Differences of standard deviation 1; `tied` is their correlation within a cluster."""
    count = labels.max() + 1
    noise = np.sqrt(tied) * random.normal(size=count)[labels] + np.sqrt(1 - tied) * random.normal(size=len(labels))
    return pairs(np.zeros(len(labels)), change + noise, labels)
