"""Shares stay a simplex, and floors, caps and steps hold exactly."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.mixture.controllers import Family
from sapwood.mixture.controllers.bounds import PRECISION, move, reached, share_out
from sapwood.recipe.mixture import Controller

pytestmark = pytest.mark.slow


def family_of(now: dict[str, Fraction], initial: dict[str, Fraction] | None = None) -> Family:
    return Family(name="siblings", shares=now, initial=initial or now, measured={}, tokens={}, budget=10**9)


def normalised(parts: list[int]) -> dict[str, Fraction]:
    return {f"d{number:02}": Fraction(part, sum(parts)) for number, part in enumerate(parts)}


parts = st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=20).filter(any)
proposals = st.lists(st.floats(min_value=0, max_value=1e12, allow_subnormal=True), min_size=20, max_size=20)
controllers = st.builds(
    Controller,
    floor=st.fractions(min_value=0, max_value=Fraction(1, 4), max_denominator=997),
    cap=st.fractions(min_value=Fraction(1, 4), max_value=1, max_denominator=997),
    step=st.fractions(min_value=Fraction(1, 10**5), max_value=1, max_denominator=10**5),
)


@settings(max_examples=400)
@given(parts, proposals, controllers)
def test_simplex_floors_caps_and_steps_hold_exactly_over_rounds(
    begun: list[int], proposed: list[float], controller: Controller
) -> None:
    initial = normalised(begun)
    now = initial
    for turn in range(3):
        proposal = dict(zip(initial, proposed[turn:] + proposed[:turn], strict=False))
        shares = move(family_of(now, initial), proposal, controller)
        assert list(shares) == list(initial)
        assert sum(shares.values()) == 1
        for name, share in shares.items():
            assert abs(share - now[name]) <= controller.step
            assert min(controller.floor, initial[name]) <= share <= max(controller.cap, initial[name])
            assert (share > 0) == (initial[name] > 0)
        assert shares == now or all((share * PRECISION).denominator == 1 for share in shares.values())
        now = shares


@settings(max_examples=200)
@given(parts, parts, proposals, controllers)
def test_from_shares_beyond_the_bounds_it_still_moves_by_a_step_at_most(
    begun: list[int], other: list[int], proposed: list[float], controller: Controller
) -> None:
    size = min(len(begun), len(other))
    if not any(begun[:size]) or not any(other[:size]):
        return
    now = normalised(other[:size])
    shares = move(family_of(now, normalised(begun[:size])), dict(zip(now, proposed, strict=False)), controller)
    assert sum(shares.values()) == 1
    assert all(abs(shares[name] - now[name]) <= controller.step for name in now)


@given(parts, st.floats(min_value=1e-9, max_value=1e9), controllers)
def test_a_wish_for_the_shares_of_now_gives_them_back(begun: list[int], factor: float, controller: Controller) -> None:
    now = normalised(begun)
    assert move(family_of(now), {name: float(share) * factor for name, share in now.items()}, controller) == now


@settings(max_examples=200)
@given(parts, proposals, controllers, st.randoms(use_true_random=False))
def test_the_order_of_siblings_plays_no_part(begun, proposed, controller, chance) -> None:  # type: ignore[no-untyped-def]
    now = normalised(begun)
    proposal = dict(zip(now, proposed, strict=False))
    names = list(now)
    chance.shuffle(names)
    shuffled = move(family_of({name: now[name] for name in names}), proposal, controller)
    assert shuffled == move(family_of(now), proposal, controller)
    assert list(shuffled) == names


def test_without_bounds_in_the_way_the_wish_comes_true_to_the_unit() -> None:
    now = {"a": Fraction(1, 3), "b": Fraction(1, 3), "c": Fraction(1, 3)}
    loose = Controller(floor=Fraction(0), step=Fraction(1))
    shares = move(family_of(now), {"a": 1.0, "b": 2.0, "c": 4.0}, loose)
    assert shares == {"a": Fraction(1429, 10_000), "b": Fraction(2857, 10_000), "c": Fraction(5714, 10_000)}


def test_what_a_cap_takes_goes_to_the_others_in_proportion() -> None:
    now = {"a": Fraction(1, 2), "b": Fraction(3, 10), "c": Fraction(2, 10)}
    controller = Controller(floor=Fraction(0), cap=Fraction(1, 2), step=Fraction(1))
    shares = move(family_of(now), {"a": 0.7, "b": 0.1, "c": 0.2}, controller)
    assert shares == {"a": Fraction(1, 2), "b": Fraction(1667, 10_000), "c": Fraction(3333, 10_000)}


def test_a_floor_above_and_a_cap_below_the_initial_share_ask_for_nothing() -> None:
    now = {"a": Fraction(1, 500), "b": Fraction(499, 500)}
    controller = Controller(floor=Fraction(1, 10), cap=Fraction(1, 2), step=Fraction(1, 10))
    assert move(family_of(now), {"a": 1e-9, "b": 1.0}, controller) == now
    assert move(family_of(now), {"a": 1.0, "b": 1.0}, controller)["a"] == Fraction(51, 500)


def test_wishes_of_nothing_give_way_first_and_share_what_is_left_in_proportion() -> None:
    now = {"a": Fraction(4, 10), "b": Fraction(2, 10), "c": Fraction(4, 10)}
    shares = move(family_of(now), {"a": 0.0, "b": 0.0, "c": 1.0}, Controller(step=Fraction(3, 100)))
    assert shares == {"a": Fraction(38, 100), "b": Fraction(19, 100), "c": Fraction(43, 100)}


def test_siblings_without_a_share_need_no_wish_and_stay_without() -> None:
    now = {"a": Fraction(1, 2), "none": Fraction(0), "b": Fraction(1, 2)}
    shares = move(family_of(now), {"a": 1.0, "b": 3.0}, Controller(step=Fraction(1)))
    assert shares == {"a": Fraction(1, 4), "none": Fraction(0), "b": Fraction(3, 4)}


def test_a_sibling_without_a_wish_keeps_its_share_exactly_and_the_others_share_out_the_rest() -> None:
    now = {"a": Fraction(1, 3), "b": Fraction(1, 3), "kept": Fraction(1, 7), "c": Fraction(4, 21)}
    controller = Controller(floor=Fraction(0), step=Fraction(3, 100))
    for _ in range(3):
        shares = move(family_of(now), {"a": 1.0, "b": 0.5, "c": 1.0}, controller)
        assert shares["kept"] == Fraction(1, 7)
        assert sum(shares.values()) == 1
        assert shares["b"] < now["b"]
        assert all(abs(shares[name] - now[name]) <= controller.step for name in now)
        now = shares
    assert max(share.denominator for share in now.values()) <= 7 * PRECISION


def test_thirds_that_may_not_move_stay_thirds() -> None:
    now = {name: Fraction(1, 3) for name in "abc"}
    assert move(family_of(now), {"a": 1.0, "b": 2.0, "c": 3.0}, Controller(cap=Fraction(1, 4))) == now


@pytest.mark.parametrize("proposal", [-1.0, math.nan, math.inf])
def test_wishes_that_are_none_are_refused(proposal: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        move(family_of(normalised([1, 1])), {"d00": proposal, "d01": 1.0}, Controller())


def test_which_bound_was_reached_is_told() -> None:
    now = {"a": Fraction(2, 100), "b": Fraction(50, 100), "c": Fraction(48, 100)}
    controller = Controller(cap=Fraction(52, 100), step=Fraction(3, 100))
    family = family_of(now)
    shares = move(family, {"a": 0.001, "b": 0.9, "c": 0.4}, controller)
    assert reached(family, shares, controller) == {"a": "its floor", "b": "its cap"}
    shares = move(family, {"a": 0.5, "b": 0.5, "c": 0.4}, controller)
    assert reached(family, shares, controller)["a"] == "a full step"


@given(
    st.lists(
        st.tuples(st.floats(min_value=-3000, max_value=700), st.integers(1, 500), st.integers(0, 2000)), min_size=1
    ),
    st.floats(min_value=0, max_value=1),
)
def test_sharing_out_gives_away_exactly_the_total(siblings: list[tuple[float, int, int]], place: float) -> None:
    logarithms = {str(number): proposal for number, (proposal, _, _) in enumerate(siblings)}
    bounds = {str(number): (low, low + room) for number, (_, low, room) in enumerate(siblings)}
    total = sum(low for low, _ in bounds.values()) + int(place * sum(room for _, _, room in siblings))
    units = share_out(total, logarithms, bounds)
    assert units is not None
    assert sum(units.values()) == total
    assert all(low <= units[name] <= high for name, (low, high) in bounds.items())


def test_sharing_out_what_does_not_fit_gives_none() -> None:
    assert share_out(5, {"a": 0.0}, {"a": (1, 4)}) is None
    assert share_out(5, {"a": 0.0, "b": 0.0}, {"a": (5, 4), "b": (1, 9)}) is None
