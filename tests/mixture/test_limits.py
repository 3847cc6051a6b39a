from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.mixture.apportion import Apportionment
from sapwood.mixture.domains import Domain
from sapwood.mixture.limits import allow
from sapwood.mixture.weights import Mixture

HOMES = {"a": "one", "b": "one", "c": "two"}
MIXTURE = Mixture(
    {"a/x": Fraction(1, 4), "a/y": Fraction(1, 4), "b": Fraction(1, 6), "c": Fraction(1, 3)},
    HOMES,
)


def domains(**limits: int | None) -> list[Domain]:
    names = {"ax": "a/x", "ay": "a/y", "b": "b", "c": "c"}
    return [
        Domain(names[name], HOMES[names[name][0]], names[name][0], limit, True, None if limit is None else Fraction(1))
        for name, limit in limits.items()
    ]


def test_without_limits_nothing_changes() -> None:
    allowed = allow(MIXTURE, domains(ax=None, c=10**9), {}, {}, 10, 50)
    assert allowed.mixture == MIXTURE
    assert (allowed.sequences, allowed.reasons, allowed.emptied) == (50, (), ())


def test_the_nearest_in_the_tree_take_the_place_of_what_is_used_up() -> None:
    topic = allow(MIXTURE, domains(ax=100), {"a/x": 95}, {}, 10, 50)
    assert topic.mixture.weights == {"a/y": Fraction(1, 2), "b": Fraction(1, 6), "c": Fraction(1, 3)}
    assert topic.reasons == ("'a/x' was gone through as often as it may be; its 25.00% go to the other topics of 'a'.",)

    source = allow(MIXTURE, domains(ax=100, ay=100), {"a/x": 95, "a/y": 100}, {}, 10, 50)
    assert source.mixture.weights == {"b": Fraction(2, 3), "c": Fraction(1, 3)}
    assert "go to the other sources of 'one'" in source.reasons[0]

    group = allow(MIXTURE, domains(c=100), {"c": 95}, {}, 10, 50)
    assert group.emptied == ("two",)
    assert group.mixture.weights["b"] == Fraction(1, 6) + Fraction(1, 3) * Fraction(1, 4)
    assert "nothing is left in 'two'" in group.reasons[0]


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(SapwoodError, match="nothing left to train on: 'a/x'"):
        allow(Mixture({"a/x": Fraction(1)}, HOMES), domains(ax=100), {"a/x": 100}, {}, 10, 50)


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 20), min_size=4, max_size=4),
    st.lists(st.integers(0, 3000) | st.none(), min_size=4, max_size=4),
    st.integers(1, 40),
    st.integers(1, 400),
)
def test_no_domain_ever_goes_beyond_its_limit(
    parts: list[int], limits: list[int | None], length: int, sequences: int
) -> None:
    weights = {name: Fraction(part, sum(parts)) for name, part in zip(MIXTURE.weights, parts, strict=True)}
    proposed = Mixture(weights, HOMES)
    there = domains(**dict(zip(("ax", "ay", "b", "c"), limits, strict=True)))
    consumed = dict.fromkeys(weights, 0)
    deficit: dict[str, Fraction] = {}
    done = rounds = 0
    while done < sequences:
        try:
            allowed = allow(proposed, there, consumed, deficit, length, sequences - done)
        except SapwoodError:
            break
        assert sum(allowed.mixture.weights.values()) == 1
        assert allowed.sequences > 0
        counts = Apportionment(allowed.mixture, allowed.sequences, deficit).counts(allowed.sequences)
        for name in weights:
            consumed[name] += counts.get(name, 0) * length
            share = allowed.mixture.weights.get(name, Fraction(0)) * allowed.sequences
            deficit[name] = deficit.get(name, Fraction(0)) + share - counts.get(name, 0)
        done, rounds = done + allowed.sequences, rounds + 1
    for domain in there:
        assert domain.limit is None or consumed[domain.name] <= domain.limit
    assert rounds <= 60
    if done < sequences:
        assert all(domain.limit is not None and consumed[domain.name] + 4 * length > domain.limit for domain in there)
