"""Whether a model does better than guessing: below that, there is nothing to gain from or to lose."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import numpy.typing as npt

from sapwood.statistics import student
from sapwood.statistics.estimate import Floats, ratio
from sapwood.statistics.items import TaskScores


def better_than_guessing(scores: TaskScores, chances: npt.ArrayLike) -> float:
    """The one-sided p-value of a model that guesses; a model whose p-value is not small is at chance.

    `chances` gives the probability of guessing right, for each item or for all: 1 / its number of options.

    Independent items that are right or wrong: exact, the number right being a sum of binomials, one for each number of
    options. Otherwise Student's t of the mean excess over chance, clustered as in `ratio`; its standard error is at
    least that of independent guesses, sqrt(sum(w² q (1 - q))) / sum(w), so that few clusters that happen to agree show
    nothing.
    """
    guess = np.broadcast_to(np.asarray(chances, dtype=np.float64), scores.scores.shape)
    if np.any((guess < 0) | (guess >= 1)):
        raise ValueError("chances are at least 0 and below 1")
    if scores.right_or_wrong and scores.independent:
        return min(1.0, float(_right_by_guessing(guess)[int(scores.scores.sum()) :].sum()))
    excess = ratio((scores.scores - guess) * scores.weights, scores.weights, scores.clusters)
    least = math.sqrt(float(np.sum(scores.weights**2 * guess * (1 - guess)))) / float(scores.weights.sum())
    error = max(excess.standard_error, least)
    if math.isnan(excess.standard_error) or excess.value <= 0:
        return 1.0
    return float(student.sf(excess.value / error, excess.degrees_of_freedom)) if error > 0 else 0.0


def _right_by_guessing(chances: Floats) -> Floats:
    """The probabilities of 0 to all items right."""
    from scipy.stats import binom

    parts = [
        binom.pmf(np.arange(count + 1), count, chance)
        for chance, count in zip(*np.unique(chances, return_counts=True), strict=True)
    ]
    return reduce(np.convolve, parts)
