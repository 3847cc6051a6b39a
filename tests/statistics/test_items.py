from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sapwood.errors import SapwoodError
from sapwood.statistics.items import ItemScore, by_task


def row(item: str, score: float, cluster: str | None = None, model: str = "base", task: str = "qa") -> ItemScore:
    return ItemScore(model=model, task=task, item=item, score=score, cluster=cluster)


def test_samples_of_an_item_become_their_mean() -> None:
    scores = by_task([row("a", 1), row("b", 0), row("a", 0), row("a", 0), row("a", 0)])["qa", "base"]
    assert scores.items == ("a", "b")
    assert scores.scores.tolist() == [0.25, 0.0]
    assert not scores.right_or_wrong


def test_items_without_a_cluster_are_their_own_even_if_one_is_called_like_them() -> None:
    scores = by_task([row("a", 1, "b"), row("b", 0), row("c", 0, "b"), row("d", 1)])["qa", "base"]
    assert scores.clusters.tolist() == [0, 1, 0, 2]
    assert not scores.independent
    assert scores.right_or_wrong


def test_tasks_and_models_are_kept_apart() -> None:
    found = by_task([row("a", 1), row("a", 0, model="new"), row("a", 1, task="math")])
    assert {key: scores.scores.tolist() for key, scores in found.items()} == {
        ("qa", "base"): [1],
        ("qa", "new"): [0],
        ("math", "base"): [1],
    }


@pytest.mark.parametrize("change", [{"score": math.nan}, {"weight": 0.0}, {"weight": math.inf}])
def test_what_is_no_score_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(SapwoodError, match="Item 'a' of task 'qa'"):
        by_task([replace(row("a", 1), **change)])


def test_an_item_has_one_cluster() -> None:
    with pytest.raises(SapwoodError, match="different clusters or weights"):
        by_task([row("a", 1, "p"), row("a", 1, "q")])
