"""What each controller decides: by hand, by its properties, and in its own words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.mixture.controllers import Decision, Family
from sapwood.mixture.controllers.build import decider
from sapwood.mixture.controllers.learnability import fit
from sapwood.mixture.controllers.perplexity_change import normalised_changes, perplexity_before
from sapwood.mixture.controllers.wording import NO_ROOM
from sapwood.mixture.measured import Measured, improvement
from sapwood.recipe.mixture import Controller

NAMES = ("Law", "History", "Medicine", "Philosophy", "Economics", "Psychology")
MOVING = ("perplexity-change", "excess-loss", "learnability")
LOOSE: dict[str, Any] = {"step": Fraction(1), "floor": Fraction(0)}


def change_of_perplexity(before: float, after: float, error: float = 0.0) -> Measured:
    """Measured with four bytes a token; the error is of the change in bits per byte."""
    bits_per_nat = 1 / math.log(2) / 4
    level = math.log(after) * bits_per_nat
    change = improvement(math.log(before) * bits_per_nat - level, error)
    return Measured(
        bits_per_byte=level, standard_error=0.01, nats_per_token=math.log(after), since_last=change, since_base=change
    )


def family_of(
    shares: Mapping[str, Fraction],
    measured: Mapping[str, Measured],
    tokens: Mapping[str, int] | None = None,
    initial: Mapping[str, Fraction] | None = None,
) -> Family:
    return Family(
        name="topics of web-zh",
        shares=shares,
        initial=initial or shares,
        measured=measured,
        tokens=tokens or dict.fromkeys(shares, 0),
        budget=10**9,
    )


def shares_of(*parts: int) -> dict[str, Fraction]:
    return {name: Fraction(part, sum(parts)) for name, part in zip(NAMES, parts, strict=False)}


def rounds(
    settings: Controller, shares: dict[str, Fraction], losses: list[Mapping[str, float]], single: tuple[str, ...] = ()
) -> list[Decision]:
    """One decision for each of the losses in bits per byte, after 1M tokens of every sibling more each time.

    Of those in `single` one document is held out: they have no standard errors.
    """
    state: Mapping[str, Any] = {}
    initial, last, decisions = shares, None, []
    for number, values in enumerate(losses):
        measured = {
            name: Measured(
                bits_per_byte=value,
                standard_error=math.inf if name in single else 0.01,
                nats_per_token=value * 3,
                since_last=None
                if last is None
                else improvement(last[name] - value, math.inf if name in single else 1e-6),
                since_base=improvement(losses[0][name] - value, math.inf if name in single else 1e-6),
            )
            for name, value in values.items()
        }
        family = family_of(shares, measured, dict.fromkeys(shares, number * 10**6), initial)
        decision = decider(settings).decide(family, state)
        decisions.append(decision)
        shares, state, last = decision.shares, json.loads(json.dumps(decision.state)), values
    return decisions


perplexities = st.floats(min_value=1.5, max_value=60)
noisy = st.builds(change_of_perplexity, perplexities, perplexities, st.sampled_from([0.0, 1e-3, 0.1, math.inf]))
families = st.lists(
    st.tuples(st.integers(min_value=0, max_value=1000), st.none() | noisy), min_size=1, max_size=len(NAMES)
).filter(lambda siblings: any(part for part, _ in siblings))
controllers = st.builds(
    Controller,
    kind=st.sampled_from(["static", *MOVING]),
    strength=st.none() | st.floats(min_value=1e-3, max_value=1e3),
    normalise=st.sampled_from(["largest", "relative"]),
    importance=st.dictionaries(st.sampled_from(NAMES), st.floats(min_value=0, max_value=20)),
    targets=st.dictionaries(st.sampled_from(NAMES), st.floats(min_value=0.1, max_value=3)),
    smoothing=st.floats(min_value=0, max_value=0.99),
    noise=st.sampled_from([0.0, 1.0, 2.5]),
    floor=st.fractions(min_value=0, max_value=Fraction(1, 5), max_denominator=300),
    cap=st.fractions(min_value=Fraction(1, 5), max_value=1, max_denominator=300),
    step=st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000),
)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.lists(families, min_size=1, max_size=5), controllers, st.randoms(use_true_random=False))
def test_every_decision_of_every_kind_keeps_the_rules(turns, controller, chance) -> None:  # type: ignore[no-untyped-def]
    shares = initial = shares_of(*(part for part, _ in turns[0]))
    state: dict[str, Any] = {}
    for number, turn in enumerate(turns):
        measured = {name: each for name, (_, each) in zip(shares, turn, strict=False) if each}
        family = family_of(shares, measured, dict.fromkeys(shares, number * 10**7), initial)
        decision = decider(controller).decide(family, state)
        assert sum(decision.shares.values()) == 1
        for name, share in decision.shares.items():
            assert name in measured or share == shares[name]
            assert abs(share - shares[name]) <= controller.step
            assert min(controller.floor, initial[name]) <= share <= max(controller.cap, initial[name])
        assert 1 <= len(decision.reasons) <= 6
        assert decision.shares != shares or decision.reasons[0].startswith("Nothing moves")
        names = list(shares)
        chance.shuffle(names)
        again = decider(controller).decide(
            family_of(
                {name: shares[name] for name in names},
                {name: measured[name] for name in names if name in measured},
                family.tokens,
                initial,
            ),
            json.loads(json.dumps(state)),
        )
        assert again == decision
        assert list(decision.shares) == list(shares)
        shares, state = decision.shares, decision.state


@pytest.mark.parametrize("kind", ["static", *MOVING])
def test_without_any_change_the_very_same_shares_come_back(kind: str) -> None:
    shares = shares_of(1, 1, 1)
    decisions = rounds(Controller(kind=kind, smoothing=0.5), shares, [dict.fromkeys(shares, 0.9)] * 5)
    assert all(decision.shares == shares for decision in decisions)
    assert all(decision.reasons[0].startswith("Nothing moves") for decision in decisions)


@pytest.mark.parametrize("kind", ["static", *MOVING])
def test_nothing_moves_where_nothing_is_measured_or_one_is_alone(kind: str) -> None:
    shares = shares_of(1, 2)
    assert decider(Controller(kind=kind)).decide(family_of(shares, {}), {}).shares == shares
    alone = family_of(shares_of(1), {"Law": change_of_perplexity(10, 12)})
    assert decider(Controller(kind=kind)).decide(alone, {}).shares == shares_of(1)


@pytest.mark.parametrize("kind", MOVING)
def test_changes_within_the_noise_move_nothing(kind: str) -> None:
    shares = shares_of(1, 2)
    losses = {
        "Law": change_of_perplexity(10, 10.5, error=0.02),
        "History": change_of_perplexity(10, 9.5, error=0.02),
    }
    still, moving = (Controller(kind=kind, noise=noise, prior=10**6, **LOOSE) for noise in (2.0, 0.5))
    state = {"history": {name: [[10**6, 1.0], [2 * 10**6, 0.9]] for name in shares}}
    family = family_of(shares, losses, {"Law": 3 * 10**6, "History": 3 * 10**6})
    assert decider(still).decide(family, state).shares == shares
    assert decider(moving).decide(family, state).shares != shares


@pytest.mark.parametrize("noise", [1.0, 0.0])
def test_changes_whose_error_is_unknown_count_only_where_noise_is_no_matter(noise: float) -> None:
    losses = {"Law": change_of_perplexity(10, 11, math.inf), "History": change_of_perplexity(10, 9, math.inf)}
    family = family_of(shares_of(1, 2), losses)
    moved = decider(Controller(kind="perplexity-change", noise=noise)).decide(family, {}).shares != family.shares
    assert moved == (noise == 0)


# the rule of the paper


def test_the_paper_by_hand() -> None:
    # Changes +2, -1, 0; by the largest 1, -0.5, 0; f = 1.1, 0.95, 1; r * f = 0.55, 0.285, 0.2, of 1.035.
    losses = {
        "Law": change_of_perplexity(10, 12),
        "History": change_of_perplexity(20, 19),
        "Medicine": change_of_perplexity(30, 30),
    }
    decision = decider(Controller(kind="perplexity-change", **LOOSE)).decide(family_of(shares_of(5, 3, 2), losses), {})
    assert decision.shares == {
        "Law": Fraction(5314, 10_000),
        "History": Fraction(2754, 10_000),
        "Medicine": Fraction(1932, 10_000),
    }
    assert decision.reasons == (
        "Law +3.1 points to 53.1%: its perplexity rose from 10.0 to 12.0.",
        "History −2.5 points to 27.5%: its perplexity fell from 20.0 to 19.0.",
        "Medicine −0.7 points to 19.3%: makes room for others; its perplexity did not change by more than 1 standard "
        "error.",
    )
    assert decision.state == {"change": pytest.approx({"Law": 1.0, "History": -0.5, "Medicine": 0.0})}


def test_the_paper_by_hand_relative_and_with_importance() -> None:
    # Changes relative to before +0.2, -0.05; times importance 2 and 1, times 0.5: f = 1.2, 0.975; of 2.175 halves.
    losses = {"Law": change_of_perplexity(10, 12), "History": change_of_perplexity(20, 19)}
    controller = Controller(
        kind="perplexity-change", normalise="relative", strength=0.5, importance={"Law": 2.0}, **LOOSE
    )
    decision = decider(controller).decide(family_of(shares_of(1, 1), losses), {})
    assert decision.shares == {"Law": Fraction(5517, 10_000), "History": Fraction(4483, 10_000)}


def test_the_perplexity_before_is_found_from_bits_per_byte() -> None:
    assert perplexity_before(change_of_perplexity(10, 12)) == pytest.approx(10)


@given(st.lists(noisy, min_size=1, max_size=6), st.sampled_from([0.0, 1.0]))
def test_changes_by_the_largest_lie_within_one(measured: list[Measured], noise: float) -> None:
    family = family_of(shares_of(*[1] * len(measured)), dict(zip(NAMES, measured, strict=False)))
    changes = normalised_changes(family, Controller(kind="perplexity-change", noise=noise))
    assert all(abs(change) <= 1 for change in changes.values())
    assert not any(changes.values()) or max(map(abs, changes.values())) == 1


def test_a_factor_never_falls_to_nothing() -> None:
    losses = {"Law": change_of_perplexity(12, 10), "History": change_of_perplexity(10, 10)}
    controller = Controller(kind="perplexity-change", strength=50.0, **LOOSE)
    shares = decider(controller).decide(family_of(shares_of(1, 1), losses), {}).shares
    assert shares["Law"] == Fraction(99, 10_000)  # 0.01 of 1.01


def test_smoothing_remembers_and_says_so() -> None:
    controller = Controller(kind="perplexity-change", smoothing=0.5)
    up, still = change_of_perplexity(10, 12), change_of_perplexity(12, 12)
    first = decider(controller).decide(family_of(shares_of(1, 1), {"Law": up, "History": still}), {})
    second = decider(controller).decide(family_of(first.shares, {"Law": still, "History": still}), first.state)
    assert second.state == {"change": {"Law": 0.5, "History": 0.0}}
    assert second.shares["Law"] > first.shares["Law"]
    assert "Law +1.2 points to 53.6%: earlier rounds count too; its perplexity did not change" in second.reasons[0]


@pytest.mark.parametrize("kind", MOVING)
def test_siblings_whose_changes_cannot_be_judged_keep_their_shares_round_after_round(kind: str) -> None:
    """One of which nothing is held out, and one with a single document, whose change has no standard error."""
    shares = shares_of(3, 2, 1, 1)
    falling, rising = (1.0, 0.9, 0.82, 0.76, 0.71), (1.0, 1.1, 1.2, 1.3, 1.4)
    losses = [
        {"Law": first, "History": second, "Medicine": first} for first, second in zip(falling, rising, strict=True)
    ]
    decisions = rounds(Controller(kind=kind, prior=10**6, **LOOSE), shares, losses, single=("Medicine",))
    last = decisions[-1]
    assert last.shares["Law"] != shares["Law"]
    for name in shares.keys() - {"Law", "History"}:
        assert all(decision.shares[name] == shares[name] for decision in decisions)
        assert name in last.reasons[-1]
    assert last.reasons[-1].endswith("keep their share: too little is held out to measure a change.")


def test_why_nothing_moves() -> None:
    def why(*losses: Measured, **fields: Any) -> str:
        family = family_of(shares_of(*[1] * len(losses)), dict(zip(NAMES, losses, strict=False)))
        (reason,) = decider(Controller(kind="perplexity-change", **fields)).decide(family, {}).reasons
        return reason

    up = change_of_perplexity(10, 11)
    once = Measured(bits_per_byte=0.8, standard_error=0.01, nats_per_token=2.0)
    assert why(once, once) == "Nothing moves: nothing has been measured twice yet."
    small = change_of_perplexity(10, 11, error=1.0)
    assert why(small, small, noise=2.0) == "Nothing moves: no perplexity changed by more than 2 standard errors."
    assert why(up, once, importance={"Law": 0.0}) == "Nothing moves: what changed has an importance of 0."
    assert why(up, up) == NO_ROOM
    assert why(up) == "Nothing moves: there is nothing to share out between."


def test_of_many_movers_the_largest_are_named() -> None:
    losses = dict(zip(NAMES, (change_of_perplexity(10, after) for after in (12, 8, 10, 10, 10, 11)), strict=True))
    reasons = decider(Controller(kind="perplexity-change")).decide(family_of(shares_of(*[1] * 6), losses), {}).reasons
    assert [reason.split()[0] for reason in reasons] == ["History", "Law", "Psychology", "Economics", "2"]
    assert reasons[-1] == "2 more move by at most 0.14 points."


# above a target


def test_exponentiated_gradient_by_hand() -> None:
    # Excesses 0.2, 0 and 0 (below): p * exp(s) = 0.5 * 1.2214, 0.3, 0.2, of 1.1107.
    losses = {
        name: Measured(bits_per_byte=level, standard_error=0.001, nats_per_token=2.0)
        for name, level in (("Law", 1.0), ("History", 0.9), ("Medicine", 0.5))
    }
    controller = Controller(kind="excess-loss", targets={"Law": 0.8, "History": 0.9, "Medicine": 0.8}, **LOOSE)
    decision = decider(controller).decide(family_of(shares_of(5, 3, 2), losses), {})
    assert decision.shares == {
        "Law": Fraction(5498, 10_000),
        "History": Fraction(2701, 10_000),
        "Medicine": Fraction(1801, 10_000),
    }
    assert decision.reasons[0] == "Law +5.0 points to 55.0%: its loss is 0.2 bits per byte above its target of 0.8."
    assert decision.reasons[2].endswith("makes room for others; its loss is 0.3 bits per byte below its target of 0.8.")


def test_the_backbone_is_the_target_where_none_is_named() -> None:
    losses = {"Law": change_of_perplexity(10, 12), "History": change_of_perplexity(20, 15)}
    decision = decider(Controller(kind="excess-loss")).decide(family_of(shares_of(1, 1), losses), {})
    assert decision.shares == {"Law": Fraction(5164, 10_000), "History": Fraction(4836, 10_000)}  # exp(0.0658)
    assert "0.0658 bits per byte above the base model's" in decision.reasons[0]
    assert decision.state == {"excess": {"Law": pytest.approx(0.06576, abs=1e-5), "History": 0.0}}


def test_nothing_above_its_target_moves_nothing() -> None:
    losses = {"Law": change_of_perplexity(12, 10), "History": change_of_perplexity(20, 15)}
    decision = decider(Controller(kind="excess-loss")).decide(family_of(shares_of(1, 1), losses), {})
    assert decision.shares == shares_of(1, 1)
    assert decision.reasons == ("Nothing moves: no loss is above its target by more than 1 standard error.",)


# what is learned fastest


@pytest.mark.parametrize(
    ("epsilon", "beta", "alpha"), [(0.5, 30.0, 0.3), (0.0, 5.0, 0.1), (0.7, 2000.0, 0.643), (1.1, 9.0, 0.8)]
)
def test_the_slope_of_a_power_law_is_found(epsilon: float, beta: float, alpha: float) -> None:
    n = [10**7 * number for number in (10, 11, 13, 16, 20)]
    curve = fit([(x, epsilon + beta * x**-alpha) for x in n])
    assert curve.slope == pytest.approx(alpha * beta * n[-1] ** (-alpha - 1), rel=0.005)
    assert curve.alpha == pytest.approx(alpha, abs=0.01)
    assert curve.epsilon == pytest.approx(epsilon, abs=0.03)


def test_a_loss_that_rises_has_no_slope_and_one_that_falls_off_a_cliff_has_the_largest() -> None:
    assert fit([(1e6, 1.0), (2e6, 1.1), (3e6, 1.2)]).slope == 0
    cliff = fit([(1e9, 3.0), (1.001e9, 2.0), (1.002e9, 1.0)])
    assert (cliff.epsilon, cliff.alpha) == (0, pytest.approx(0.8))


@given(st.lists(st.floats(min_value=0.01, max_value=5), min_size=3, max_size=12), st.integers(0, 10**12))
def test_every_fit_keeps_its_bounds(losses: list[float], prior: int) -> None:
    curve = fit([(prior + 10**6 * (number + 1), loss) for number, loss in enumerate(losses)])
    assert curve.epsilon >= 0
    assert curve.reducible >= 0
    assert 0 < curve.alpha <= 0.8
    assert 0 <= curve.slope < math.inf


def power_law(number: int, beta: float) -> float:
    return 0.4 + beta * (10**6 * (number + 1)) ** -0.5


def test_what_is_learned_fastest_gets_more() -> None:
    losses = [{"Law": power_law(n, 400), "History": power_law(n, 100), "Medicine": 0.9} for n in range(3)]
    first, second, third = rounds(Controller(kind="learnability", prior=10**6, **LOOSE), shares_of(5, 3, 2), losses)
    assert first.shares == second.shares == shares_of(5, 3, 2)
    assert first.reasons == (
        "Nothing moves yet: a curve needs 3 measurements of each, and History has 1, Law has 1 and Medicine has 1.",
    )
    # Slopes 4 to 1, priors 5 to 3, credits the roots of that; Medicine did not fall, and gets the least there is.
    law, history = 4 * 5 * math.sqrt(0.5), 1 * 3 * math.sqrt(0.3)
    assert float(third.shares["Law"]) == pytest.approx(law / (law + history), abs=2e-3)
    assert third.shares["Medicine"] == Fraction(1, 10_000)
    assert third.reasons[0].startswith("Law +39.6 points to 89.6%: its loss should fall by ")
    assert "(its floor): its loss did not fall by more than 1 standard error in the last round." in third.reasons[1]


def test_what_is_not_trained_on_any_more_falls_to_its_floor_step_by_step() -> None:
    shares, state = shares_of(1, 1), {"history": {"History": [[10**9, 0.9]]}}
    controller = Controller(kind="learnability")
    for number in range(20):
        level = power_law(number, 400)
        losses = {
            name: Measured(
                bits_per_byte=level, standard_error=0.01, nats_per_token=2.0, since_last=improvement(1.0, 0.001)
            )
            for name in shares
        }
        family = family_of(shares, losses, {"Law": number * 10**7, "History": 0}, shares_of(1, 1))
        decision = decider(controller).decide(family, state)
        shares, state = decision.shares, decision.state
    assert shares == {"Law": Fraction(99, 100), "History": Fraction(1, 100)}
    assert len(state["history"]["History"]) == 1


def test_a_fall_after_a_longer_rise_is_no_slope_yet() -> None:
    losses = [{"Law": power_law(n, 400), "History": level} for n, level in enumerate((0.9, 1.0, 1.2, 1.19))]
    last = rounds(Controller(kind="learnability"), shares_of(1, 1), losses)[-1]
    assert last.reasons[1].endswith("(a full step): its losses show no fall over the rounds so far.")


def test_the_prior_of_learnability_is_the_budget() -> None:
    losses = [{"Law": 1.0, "History": 1.0}]
    (decision,) = rounds(Controller(kind="learnability"), shares_of(1, 1), losses)
    assert decision.state["history"] == {"Law": [[10**9, 1.0]], "History": [[10**9, 1.0]]}
    assert Controller(kind="learnability").prior is None


def test_learnability_of_nothing_measured_moves_nothing() -> None:
    decision = rounds(Controller(kind="learnability"), shares_of(1, 1), [{}] * 4)[-1]
    assert decision.shares == shares_of(1, 1)
    assert decision.reasons == ("Nothing moves: nothing is measured.",)
