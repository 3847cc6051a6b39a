from __future__ import annotations

import math

import numpy as np
import pytest

from made_pairs import clusters, pairs
from sapwood.statistics.paired import Pairs, change
from sapwood.statistics.seeds import across_seeds

pytestmark = pytest.mark.slow


def runs(random: np.random.Generator, seeds: int, labels: np.ndarray, between: float, shared: float) -> list[Pairs]:
    """Runs whose true change is zero: seeds differ by `between`, items by `shared` in all seeds, and by 1 in each."""
    common = shared * random.normal(size=labels.max() + 1)[labels]
    return [
        pairs(np.zeros(len(labels)), between * random.normal() + common + random.normal(size=len(labels)), labels)
        for _ in range(seeds)
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(("between", "shared"), [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (0.5, 0.0)])
def test_intervals_cover_whatever_the_noise_comes_from(count: int, between: float, shared: float) -> None:
    random, labels, trials = np.random.default_rng(0), clusters([3] * 30), 300
    covered = 0
    for _ in range(trials):
        low, high = across_seeds(runs(random, count, labels, between, shared)).interval(0.95)
        covered += low <= 0 <= high
    assert covered / trials >= 0.92


def test_the_parts_are_those_of_the_analysis_of_variance() -> None:
    made = runs(np.random.default_rng(1), 4, np.arange(25), 0.5, 1.0)
    table = np.array([run.differences for run in made])
    found = across_seeds(made)
    mean = table.mean()
    residual = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + mean
    interaction = np.sum(residual**2) / (3 * 24) / 100
    assert found.value == pytest.approx(mean)
    seeds, items = found.parts
    assert seeds.standard_error**2 == pytest.approx(np.var(table.mean(axis=1), ddof=1) / 4)
    assert items.standard_error**2 == pytest.approx(np.var(table.mean(axis=0), ddof=1) / 25 - interaction)
    assert items.degrees_of_freedom == pytest.approx(24)


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.0, 4.0])
def test_the_p_value_says_where_the_interval_leaves_out_zero(shift: float) -> None:
    made = runs(np.random.default_rng(2), 3, clusters([2] * 20), 0.3, 1.5)
    found = across_seeds([pairs(run.before, run.after + shift, run.clusters) for run in made])
    assert min(part.standard_error for part in found.parts) > 0.1
    low, high = found.interval(1 - found.p_value)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)


def test_seeds_that_agree_on_everything_are_still_few_items() -> None:
    same = [pairs([1, 0, 1, 1], [1, 0, 1, 1])] * 3
    low, high = across_seeds(same).interval(0.95)
    assert low < -0.3
    assert high > 0.3
    assert across_seeds(same).p_value == 1


def test_one_cluster_or_one_seed_tells_nothing() -> None:
    one = pairs([0.1, 0.5], [0.2, 0.9], [0, 0])
    assert across_seeds([one, one]).interval(0.95) == (-math.inf, math.inf)
    assert across_seeds([one, one]).p_value == 1
    assert math.isinf(change(one).interval(0.95)[0])
    with pytest.raises(ValueError, match="one seed"):
        across_seeds([one])
    with pytest.raises(ValueError, match="the same items"):
        across_seeds([one, pairs([1, 0, 0], [1, 1, 0])])
