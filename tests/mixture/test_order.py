from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.mixture.order import arrange, arrange_epoch, permute, scrambled, unpermute
from sapwood.recipe.mixture import Order, Tails

SCORES = st.lists(st.floats(-5, 5) | st.just(float("nan")), min_size=1, max_size=60)
SHARES = st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(1, 3)])
ORDERS = st.builds(
    Order,
    by=st.sampled_from(["shuffle", "perplexity"]),
    ascending=st.booleans(),
    bins=st.none() | st.integers(1, 7),
    first=st.sampled_from([Fraction(0), Fraction(3, 10), Fraction(1)]),
    tails=st.builds(Tails, head=SHARES, tail=SHARES),
)


def numbers(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint32)


@given(SCORES, ORDERS)
def test_every_document_comes_once(scores: list[float], order: Order) -> None:
    arranged = arrange(numbers(len(scores)), order, np.array(scores), "key")
    assert arranged.dtype == np.uint32
    assert sorted(arranged.tolist()) == list(range(len(scores)))


def test_a_score_orders_documents_and_those_without_one_come_last() -> None:
    scores = np.array([3.0, 1.0, np.nan, 2.0, 1.0])
    assert arrange(numbers(5), Order(by="s"), scores, "k").tolist() == [1, 4, 3, 0, 2]
    assert arrange(numbers(5), Order(by="s", ascending=False), scores, "k").tolist() == [0, 3, 1, 4, 2]


def test_a_subset_is_ordered_by_the_same_scores() -> None:
    scores = np.array([3.0, 1.0, 0.0, 2.0])
    assert arrange(np.array([0, 1, 3], np.uint32), Order(by="s"), scores, "k").tolist() == [1, 3, 0]


@pytest.mark.parametrize("ascending", [True, False])
def test_tails_come_after_all_others(ascending: bool) -> None:
    order = Order(by="s", ascending=ascending, tails=Tails(head=Fraction(1, 5), tail=Fraction(1, 10)))
    arranged = arrange(numbers(10), order, np.arange(10.0), "k").tolist()
    assert arranged[:7] == sorted(range(2, 9), reverse=not ascending)
    assert set(arranged[7:]) == {0, 1, 9}


def test_bins_come_in_order_and_are_shuffled_inside() -> None:
    arranged = arrange(numbers(1000), Order(by="s", bins=10), np.arange(1000.0), "k")
    bins = arranged.reshape(10, 100)
    assert [set(part.tolist()) for part in bins] == [set(range(n * 100, n * 100 + 100)) for n in range(10)]
    assert abs(np.corrcoef(bins[3], np.arange(100))[0, 1]) < 0.3


def test_a_first_share_is_in_order_and_the_rest_is_not() -> None:
    """The share is drawn by chance from all difficulties, and so is what follows."""
    arranged = arrange(numbers(10_000), Order(by="s", first=Fraction(3, 10)), np.arange(10_000.0), "k").astype(int)
    begin = int(np.flatnonzero(np.diff(arranged) < 0)[0]) + 1
    assert abs(begin - 3000) < 150
    assert (np.diff(arranged[:begin]) > 0).all()
    assert abs(arranged[:begin].mean() - 5000) < 200
    assert abs(np.corrcoef(arranged[begin:], np.arange(10_000 - begin))[0, 1]) < 0.05


def test_shuffles_differ_by_key_and_are_far_from_the_identity() -> None:
    one, two = (arrange(numbers(1000), Order(), None, key) for key in ("one", "two"))
    for other in (numbers(1000), two):
        assert (one == other).sum() < 10


def test_the_shuffle_is_the_same_in_every_version() -> None:
    """A resumed run depends on it."""
    assert [hex(int(value)) for value in scrambled(numbers(2), "key")] == EXPECTED


EXPECTED: list[str] = ["0xf0b8c98f839d9c73", "0x9c9fdf895c6c5256"]


@given(st.integers(1, 700), st.text(max_size=5))
def test_a_permutation_visits_everything_once_and_has_an_inverse(size: int, key: str) -> None:
    images = [permute(index, size, key) for index in range(size)]
    assert sorted(images) == list(range(size))
    assert [unpermute(image, size, key) for image in images] == list(range(size))


def test_large_permutations_cost_nothing() -> None:
    image = permute(123_456_789, 10**12, "key")
    assert 0 <= image < 10**12
    assert unpermute(image, 10**12, "key") == 123_456_789
    with pytest.raises(ValueError, match="not in range"):
        permute(5, 5, "k")


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(1, 200), ORDERS), max_size=3),
    ORDERS,
)
def test_a_pass_holds_every_document_once_whatever_the_stages_ask_for(
    lengths: list[int], changes: list[tuple[int, Order]], begin: Order
) -> None:
    sizes = np.array(lengths, np.int64)
    scores = np.sin(np.arange(len(lengths)) * 7.0)
    orders = [(0, begin), *sorted(changes, key=lambda change: change[0])]

    def arranged(orders: Sequence[tuple[int, Order]]) -> list[int]:
        return arrange_epoch(numbers(len(lengths)), sizes, orders, lambda _: scores, "k").tolist()

    whole = arranged(orders)
    assert sorted(whole) == list(range(len(lengths)))
    for count in range(1, len(orders)):
        reached = orders[count][0]
        before = arranged(orders[:count])
        settled = next((n for n in range(len(before)) if sizes[before[:n]].sum() >= reached), len(before))
        assert whole[:settled] == before[:settled], "what was reached stays where it was"
