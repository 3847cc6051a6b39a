from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_pairs import clusters, real
from sapwood.statistics.paired import change
from sapwood.statistics.power import Design, spread

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("items", "points"), [(164, 10.9), (220, 9.4), (500, 6.2), (1319, 3.8), (5000, 2.0), (14042, 1.2)]
)
def test_a_benchmark_cannot_show_less(items: int, points: float) -> None:
    assert 100 * Design(deviation=spread(0.45, 0.5)).smallest_effect(items) == pytest.approx(points, abs=0.06)


@pytest.mark.parametrize(("seeds", "deviations"), [(3, 3.25), (4, 2.1), (5, 1.7), (8, 1.2), (10, 1.0)])
def test_nor_can_few_seeds(seeds: int, deviations: float) -> None:
    assert Design(deviation=1).smallest_effect(seeds) == pytest.approx(deviations, abs=0.05)


@pytest.mark.parametrize("design", [{}, {"cluster_size": 5, "cluster_correlation": 0.4}])
def test_a_change_of_that_size_is_found_as_often_as_planned(design: dict[str, float]) -> None:
    random, trials = np.random.default_rng(0), 500
    labels = clusters([int(design.get("cluster_size", 1))] * 20)
    effect = Design(deviation=1, **design).smallest_effect(len(labels))
    tied = design.get("cluster_correlation", 0.0)
    found = sum(change(real(random, labels, effect, tied)).p_value < 0.05 for _ in range(trials))
    assert found / trials == pytest.approx(0.8, abs=0.05)


@given(st.floats(0.005, 0.9), st.sampled_from([1, 4]))
def test_items_needed_are_the_fewest(effect: float, size: int) -> None:
    design = Design(deviation=0.6, cluster_size=size, cluster_correlation=0.3)
    items = design.items_needed(effect)
    assert design.smallest_effect(items) <= effect
    assert items % size == 0
    assert items == 2 * size or design.smallest_effect(items - size) > effect


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        Design(deviation=1, cluster_size=10).smallest_effect(10)
    with pytest.raises(ValueError, match="a change of zero"):
        Design(deviation=1).items_needed(0)
