"""Laws are recovered from noisy tables, and the program's solution is the best mixture there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.mixture.laws import Array, Law, cross_validate, fit_law, make_folds
from sapwood.mixture.solution import Goal
from sapwood.mixture.solve import Program, repetition_caps, share_outside, solve, work
from sapwood.mixture.swarm import Swarm, make_swarm

pytestmark = pytest.mark.slow

pytest.importorskip("cvxpy")

DOMAINS, METRICS = ("zh", "en", "code"), ("a", "b")
LAWS = (Law(0.9, np.array([-1.5, 0.2, -0.4])), Law(0.6, np.array([-0.2, -1.2, -0.9])))
UNIFORM = np.full(3, 1 / 3)


def table(rows: int, noise: float, seed: int = 0, laws: tuple[Law, ...] = LAWS) -> Swarm:
    chance = np.random.default_rng(seed)
    mixtures = chance.dirichlet(np.ones(len(laws[0].exponents)), rows)
    losses = np.array([law.predict(mixtures) for law in laws]).T + chance.normal(0, noise, (rows, len(laws)))
    names = tuple(f"d{i}" for i in range(mixtures.shape[1])) if mixtures.shape[1] != 3 else DOMAINS
    return Swarm(names, METRICS[: len(laws)], mixtures, losses, tuple(f"t:{i}" for i in range(rows)))


def goal(
    pull: float = 0.0, prior: Array = UNIFORM, caps: Array | None = None, weights: tuple[float, ...] = (1, 1)
) -> Goal:
    shares = np.asarray(weights, dtype=float)
    return Goal(shares / shares.sum(), np.asarray(prior), pull, np.ones(len(prior)) if caps is None else caps)


def objective(mixture: Array, goal: Goal, laws: tuple[Law, ...]) -> float:
    divergence = sum(p * np.log(p / q) for p, q in zip(mixture, goal.prior, strict=True) if p > 0)
    losses = sum(w * np.exp(mixture @ law.exponents) for w, law in zip(goal.weights, laws, strict=True))
    return float(losses + goal.pull * divergence)


def test_a_known_law_is_recovered_from_noisy_rows() -> None:
    swarm, chance = table(40, 0.002), np.random.default_rng(1)
    grid = np.random.default_rng(2).dirichlet(np.ones(3), 200)
    for law, losses in zip(LAWS, swarm.losses.T, strict=True):
        fitted = fit_law(swarm.mixtures, losses, chance)
        assert np.sqrt(np.mean((fitted.predict(grid) - law.predict(grid)) ** 2)) < 0.002
        exact = fit_law(swarm.mixtures, law.predict(swarm.mixtures), chance)
        assert exact.predict(grid) == pytest.approx(law.predict(grid), abs=1e-4)
        assert exact.floor == pytest.approx(law.floor, abs=0.01)
        held_out = cross_validate(swarm.mixtures, losses, fitted, make_folds(swarm.mixtures, chance))
        assert held_out.error < 0.004 < held_out.baseline_error
        assert held_out.r_squared > 0.98
        assert held_out.rank_correlation > 0.98


def test_one_row_that_is_wrong_does_not_bend_the_law() -> None:
    swarm = table(30, 0.001)
    losses = swarm.losses[:, 0].copy()
    losses[4] += 1.0
    fitted = fit_law(swarm.mixtures, losses, np.random.default_rng(0))
    assert np.abs(fitted.predict(swarm.mixtures) - LAWS[0].predict(swarm.mixtures)).max() < 0.01


def test_losses_that_have_nothing_to_do_with_the_mixture_are_no_better_than_their_mean() -> None:
    swarm = table(20, 0.0)
    losses = 1 + 0.1 * np.random.default_rng(3).random(20)
    chance = np.random.default_rng(0)
    fitted = fit_law(swarm.mixtures, losses, chance)
    assert cross_validate(swarm.mixtures, losses, fitted, make_folds(swarm.mixtures, chance)).r_squared < 0.2


def test_rows_of_one_mixture_are_held_out_together() -> None:
    mixtures = np.repeat(np.random.default_rng(0).dirichlet(np.ones(3), 50), 2, axis=0)
    folds = make_folds(mixtures, np.random.default_rng(0))
    assert folds[::2] == folds[1::2]
    assert sorted(set(folds)) == list(range(10))
    assert len(set(make_folds(mixtures[:12], np.random.default_rng(0)))) == 6


@pytest.mark.parametrize("pull", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("caps", [None, np.array([0.3, 1.0, 0.25])], ids=["free", "capped"])
def test_no_mixture_of_a_fine_grid_is_better(pull: float, caps: Array | None) -> None:
    wanted = goal(pull, np.array([0.2, 0.7, 0.1]), caps)
    found = Program(wanted).solve(LAWS)
    step = 1 / 120
    grid = [np.array([i, j, 120 - i - j]) * step for i, j in itertools.product(range(121), repeat=2) if i + j <= 120]
    best = min((p for p in grid if (p <= wanted.caps + 1e-12).all()), key=lambda p: objective(p, wanted, LAWS))
    assert objective(found, wanted, LAWS) <= objective(best, wanted, LAWS) + 1e-7
    assert np.abs(found - best).max() < 0.03


shares = st.lists(st.floats(0.02, 1), min_size=4, max_size=4).map(lambda x: np.array(x) / sum(x))
exponents = st.lists(st.floats(-3, 1), min_size=4, max_size=4).map(np.array)


@settings(max_examples=25)
@given(
    prior=shares,
    slopes=st.lists(exponents, min_size=2, max_size=2),
    caps=st.lists(st.floats(0.3, 1), min_size=4, max_size=4).map(np.array),
    pull=st.floats(0.01, 2),
)
def test_the_solution_meets_the_conditions_of_optimality(
    prior: Array, slopes: list[Array], caps: Array, pull: float
) -> None:
    wanted, laws = goal(pull, prior, caps), tuple(Law(1.0, slope) for slope in slopes)
    found = Program(wanted).solve(laws)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found >= 0).all()
    assert (found <= caps).all()
    # With multiplier nu of the sum: the gradient is nu where a share is free, and at most nu where its cap holds it.
    gradient = pull * (np.log(found / prior) + 1)
    for weight, law in zip(wanted.weights, laws, strict=True):
        gradient += weight * law.exponents * np.exp(found @ law.exponents)
    free = (found < caps - 1e-4) & (found > 1e-3)
    held = found >= caps - 1e-4
    if free.any():
        assert np.ptp(gradient[free]) < 2e-3
        assert (gradient[held] <= gradient[free].mean() + 2e-3).all()


@settings(max_examples=15)
@given(order=st.permutations(range(4)), prior=shares, slopes=st.lists(exponents, min_size=2, max_size=2))
def test_the_order_of_domains_does_not_matter(order: list[int], prior: Array, slopes: list[Array]) -> None:
    caps = np.array([0.5, 0.6, 0.7, 0.8])
    found = Program(goal(0.1, prior, caps)).solve([Law(1.0, slope) for slope in slopes])
    turned = Program(goal(0.1, prior[order], caps[order])).solve([Law(1.0, slope[order]) for slope in slopes])
    assert turned == pytest.approx(found[order], abs=2e-5)


def test_a_huge_pull_gives_the_prior_and_none_ignores_it() -> None:
    prior = np.array([0.1, 0.2, 0.7])
    assert Program(goal(1e6, prior)).solve(LAWS) == pytest.approx(prior, abs=1e-4)
    without = Program(goal(0.0, prior)).solve(LAWS)
    assert without == pytest.approx(Program(goal(0.0, UNIFORM)).solve(LAWS), abs=1e-6)
    one = Program(goal(0.0, prior, weights=(1, 0))).solve(LAWS)
    assert one == pytest.approx([1, 0, 0], abs=1e-4)


def test_what_the_prior_has_none_of_stays_out_and_a_cap_of_nothing_too() -> None:
    prior = np.array([0.0, 0.5, 0.5])
    assert Program(goal(0.05, prior)).solve(LAWS)[0] == 0
    assert Program(goal(0.0, prior)).solve(LAWS)[0] > 0.1
    assert Program(goal(0.05, caps=np.array([0.0, 1, 1]))).solve(LAWS)[0] == 0
    assert Program(goal(0.05, caps=np.array([0.2, 0.5, 0.3]))).solve(LAWS) == pytest.approx([0.2, 0.5, 0.3])
    with pytest.raises(SapwoodError, match=r"over domains that the prior has, sum to 0\.7"):
        Program(goal(0.05, prior, np.array([1.0, 0.4, 0.3])))


def test_caps_are_passes_over_the_text_there_is() -> None:
    caps = repetition_caps({"zh": 10, "en": 400}, 100, DOMAINS, 4)
    assert caps.tolist() == [0.4, 1, 1]
    with pytest.raises(SapwoodError, match=r"4 epochs of 20 tokens fill 80% of a budget of 100.* at most 80, more"):
        repetition_caps({"zh": 10, "en": 5, "code": 5}, 100, DOMAINS, 4)


def test_how_much_of_a_mixture_no_blend_covers() -> None:
    observed = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    assert share_outside(observed.mean(axis=0), observed) == pytest.approx(0, abs=1e-9)
    assert share_outside(np.array([1.0, 0, 0]), observed) == pytest.approx(0.2)


def test_a_solution_says_what_it_gains_and_how_surely() -> None:
    swarm, wanted = table(24, 0.002), goal(0.02, np.array([0.1, 0.8, 0.1]), np.array([0.35, 1.0, 1.0]))
    steps: list[int] = []
    solution = solve(swarm, wanted, resamples=40, advance=steps.append)
    assert sum(steps) == work(swarm, 40)
    assert solution.binding.tolist() == [True, False, False]
    low, high = solution.chosen.interval(since=solution.prior)
    true = [law.predict(solution.chosen.mixture) - law.predict(wanted.prior) for law in LAWS]
    true.append(np.mean(true))
    assert high[-1] < 0
    # Three intervals of 95% from one seed: none may miss by more than half its width.
    assert all(a - (b - a) / 2 < x < b + (b - a) / 2 for a, x, b in zip(low, true, high, strict=True))
    assert (swarm.mixtures[solution.best_row] <= wanted.caps).all()
    low, high = solution.share_interval
    assert (low <= solution.chosen.mixture + 1e-6).all()
    assert (solution.chosen.mixture <= high + 1e-6).all()
    assert not any("parameters" in warning for warning in solution.warnings)
    again = solve(swarm, wanted, resamples=40).to_json(0)
    assert again == solution.to_json(0)
    assert again["domains"][0]["binds"] is True
    assert again["weighted_mean"]["solution"]["loss"] < again["weighted_mean"]["prior"]["loss"]


def test_tables_that_say_little_are_solved_with_a_warning() -> None:
    few = solve(table(3, 0.002), goal(0.05), resamples=5)
    assert any("3 different mixtures, but every law has 4 parameters" in warning for warning in few.warnings)
    swarm = table(12, 0.002)
    narrow = 0.05 * swarm.mixtures + 0.95 * UNIFORM
    losses = np.array([law.predict(narrow) for law in LAWS]).T
    solution = solve(Swarm(DOMAINS, METRICS, narrow, losses, swarm.places), goal(0.0), resamples=5)
    assert any("the largest share observed is" in warning for warning in solution.warnings)
    assert any("lies outside every blend" in warning for warning in solution.warnings)
    together = swarm.mixtures.copy()
    together[:, 1] = together[:, 2] = together[:, 1:].mean(axis=1)
    solution = solve(Swarm(DOMAINS, METRICS, together, swarm.losses, swarm.places), goal(0.05), resamples=5)
    assert any("vary in 2 of 3 directions" in warning for warning in solution.warnings)
    noise = np.random.default_rng(0).uniform(1, 1.1, (12, 2))
    solution = solve(Swarm(DOMAINS, METRICS, swarm.mixtures, noise, swarm.places), goal(0.05), resamples=5)
    assert any("no better than their mean" in warning for warning in solution.warnings)


ROW = {"share.zh": "0.5", "share.en": "50%", "loss.a": "1.2"}


def test_rows_become_a_table_with_shares_that_sum_to_one() -> None:
    rows = [ROW, {**ROW, "share.zh": "1/3", "share.en": 0.667}, {**ROW, "share.zh": 0, "share.en": 1, "run": "x"}]
    swarm = make_swarm([(f"t:{i}", row) for i, row in enumerate(rows)], "t")
    assert (swarm.domains, swarm.metrics, swarm.unused) == (("zh", "en"), ("a",), ("run",))
    assert swarm.mixtures.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-15)
    assert (swarm.different, swarm.directions) == (3, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"t: there are no rows"),
        ([ROW], r"t: found 1 different mixture in 1 row; .* measure 4 or more"),
        ([ROW, {**ROW, "share.zh": "0.4"}], r"t:1: the shares sum to 0\.9; write shares that sum to 1"),
        ([{**ROW, "share.zh": "-0.1"}], r"t:0: share\.zh is '-0\.1'; write a share such as 0\.25"),
        ([{**ROW, "share.zh": float("nan")}], r"t:0: share\.zh is nan; write a share"),
        ([{**ROW, "share.zh": ""}], r"t:0: share\.zh is missing; write 0 where"),
        ([ROW, {"share.zh": 1, "share.en": 0}], r"t:1: loss\.a is missing; leave out the row"),
        ([{**ROW, "loss.a": "nan"}], r"t:0: loss\.a is 'nan', which is no measurement"),
        ([{**ROW, "loss.a": "-1"}], r"t:0: loss\.a is '-1'; a loss is positive"),
        ([{**ROW, "loss.a": "low"}], r"t:0: loss\.a is 'low'; write a positive number"),
        ([{"loss.a": 1}], r"t: there is no column of shares"),
        ([{"share.zh": 1, "zh": 2}], r"t: there is no column of losses. .* The columns are 'zh'"),
        ([{"share.zh": 1, "loss.a": 1}], r"t: there is one domain, 'zh'"),
        ([{**ROW, "shares.code": 0}], r"t: column 'shares\.code' is nearly a name"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(SapwoodError, match=message):
        make_swarm([(f"t:{i}", row) for i, row in enumerate(rows)], "t")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SapwoodError) as error:
        make_swarm([(f"t:{i}", {**ROW, "loss.a": "?"}) for i in range(12)], "t")
    assert len(str(error.value).splitlines()) == 11
    assert str(error.value).endswith("and 2 more")
