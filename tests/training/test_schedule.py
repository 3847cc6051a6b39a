from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sapwood.backbone.record import write_record
from sapwood.errors import SapwoodError
from sapwood.mixture.domains import Sizes
from sapwood.mixture.plan import Plan, make_plan
from sapwood.recipe import Recipe, load_recipe
from sapwood.recipe.schema import DecayShape, LearningRate
from sapwood.training.schedule import final_rate, learning_rate, rate, remaining

PAPER = load_recipe(Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml")
TOTAL = 1000
SHAPES = get_args(DecayShape)
Opened = tuple[Recipe, Plan]


@pytest.fixture
def stages(tiny_recipe: Callable[..., Path]) -> Callable[..., Opened]:
    """Opens a recipe with a stage of 6,400 tokens for each schedule given, None among them."""

    def make(*schedules: object, **training: object) -> Opened:
        parts = [
            {"name": name, "tokens": 6400, "mixture": {"zh": 1}, "learning_rate": schedule}
            for name, schedule in zip("abcd", schedules, strict=False)
        ]
        sources = {"web-zh": {"tokens": "1M"}, "news-en": {"tokens": "1K"}}
        path = tiny_recipe(
            stages=parts,
            training={"batch_tokens": 640, **training},
            sources=sources,
            groups={"zh": {"web-zh": 1}},
            evaluation={"gain": {"domains": ["zh"]}, "retention": {"domains": ["news-en"]}},
        )
        recipe = load_recipe(path)
        return recipe, make_plan(recipe, Sizes({}, {}))

    return make


def follow(opened: Opened, *places: tuple[str, float], final: float | None = None) -> list[float]:
    return [learning_rate(*opened, stage, tokens, final) for stage, tokens in places]


@st.composite
def schedules(draw: st.DrawFn) -> LearningRate:
    """Any schedule for `TOTAL` tokens that a recipe may hold, all its rates given as numbers or shares of the peak."""
    peak = draw(st.floats(1e-7, 1.0))
    below = st.floats(0, 1).map(lambda share: share * peak) | st.fractions(0, 1, max_denominator=1000)
    return LearningRate.model_validate(
        {
            "peak": peak,
            "start": draw(below),
            "end": draw(below),
            "warmup": draw(st.integers(0, TOTAL - 1)),
            "then": draw(st.sampled_from(["constant", "linear", "cosine", "stable-decay"])),
            "decay": draw(st.fractions(Fraction(1, 1000), 1, max_denominator=1000)),
            "shape": draw(st.sampled_from(SHAPES)),
        }
    )


def absolute(schedule: LearningRate, value: float | Fraction | str) -> float:
    assert isinstance(schedule.peak, float)
    assert not isinstance(value, str)
    return schedule.peak * float(value) if isinstance(value, Fraction) else value


def test_the_papers_schedule() -> None:
    opened = PAPER, make_plan(PAPER, Sizes({}, {}))
    first, second = "bilingual-adaptation", "synthetic-enhancement"
    places = [(first, 0), (first, 5e9), (first, 10e9), (second, 0.1e9), (second, 7.5e9)]
    assert follow(opened, *places) == pytest.approx([1e-7, (1e-7 + 1e-5) / 2, 1e-5, 1e-5, 1e-5])


@pytest.mark.parametrize(
    ("then", "at_half", "at_end"), [("constant", 1.0, 1.0), ("linear", 0.6, 0.2), ("cosine", 0.6, 0.2)]
)
def test_shapes(then: str, at_half: float, at_end: float) -> None:
    schedule = LearningRate.model_validate({"peak": 1.0, "end": 0.2, "then": then})
    assert rate(schedule, 500, 1000, 1) == pytest.approx(at_half)
    assert rate(schedule, 1000, 1000, 1) == pytest.approx(at_end)


@pytest.mark.parametrize(("shape", "quarter"), [("linear", 0.75), ("1-sqrt", 0.5), ("cosine", 0.853553)])
def test_warmup_stable_decay(shape: str, quarter: float) -> None:
    schedule = LearningRate.model_validate(
        {"peak": 1.0, "warmup": "2 steps", "then": "stable-decay", "decay": "40%", "shape": shape, "end": "10%"}
    )
    values = [rate(schedule, tokens, 1000, 50) for tokens in (0, 50, 100, 600, 700, 1000)]
    assert values == pytest.approx([0, 0.5, 1, 1, 0.1 + 0.9 * quarter, 0.1])


@given(schedules(), st.floats(0, TOTAL), st.floats(0, TOTAL))
def test_the_rate_rises_to_the_peak_and_falls_to_the_end(schedule: LearningRate, one: float, other: float) -> None:
    before, after = sorted((one, other))
    first, second = (rate(schedule, tokens, TOTAL, 1) for tokens in (before, after))
    peak, warmup = absolute(schedule, schedule.peak), schedule.warmup.amount
    slack = 1e-12 * peak
    if after <= warmup:
        assert absolute(schedule, schedule.start) - slack <= first <= second + slack <= peak + 2 * slack
    elif before >= warmup:
        lowest = peak if schedule.then == "constant" else absolute(schedule, schedule.end)
        assert lowest - slack <= second <= first + slack <= peak + 2 * slack


@example(LearningRate(peak=1e-7, end=1.9921875e-08, then="linear"))
@given(schedules())
def test_the_rate_is_exact_where_the_recipe_says_so(schedule: LearningRate) -> None:
    start, peak, end = (absolute(schedule, value) for value in (schedule.start, schedule.peak, schedule.end))
    warmup = schedule.warmup.amount
    assert rate(schedule, 0, TOTAL, 1) == (start if warmup else peak)
    assert rate(schedule, warmup, TOTAL, 1) == pytest.approx(peak, rel=1e-12)
    assert rate(schedule, TOTAL, TOTAL, 1) == pytest.approx(peak if schedule.then == "constant" else end, abs=1e-12)


@pytest.mark.slow
@given(schedules(), st.floats(0, TOTAL), st.floats(0, 0.01))
def test_the_rate_never_jumps(schedule: LearningRate, tokens: float, apart: float) -> None:
    """The steepest of all are a warm-up, and a fall by 1-sqrt over the last `decay` of the tokens."""
    warmup = schedule.warmup.amount
    fall = min(float(schedule.decay) * TOTAL, TOTAL - warmup)
    steepest = (apart / warmup if warmup else 0) + 2 * (apart / fall) ** 0.5
    first, second = (rate(schedule, min(TOTAL, place), TOTAL, 1) for place in (tokens, tokens + apart))
    assert abs(second - first) <= absolute(schedule, schedule.peak) * (steepest + 1e-9)


@given(st.sampled_from(SHAPES), st.floats(0, 1), st.floats(0, 1))
def test_what_remains_falls_from_one_to_nothing(shape: DecayShape, one: float, other: float) -> None:
    before, after = sorted((one, other))
    assert 0 <= remaining(shape, after) <= remaining(shape, before) <= 1
    assert (remaining(shape, 0), remaining(shape, 1)) == (1, 0)


def test_a_stage_of_its_own_and_what_follows_it(stages: Callable[..., Opened]) -> None:
    opened = stages({"peak": 1.0, "end": 0.5, "then": "linear"}, None, 0.25)
    places = [("a", 0), ("a", 3200), ("a", 6400), ("b", 0), ("b", 3200), ("c", 0), ("c", 6400)]
    assert follow(opened, *places) == pytest.approx([1.0, 0.75, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_a_stage_without_a_schedule_follows_that_of_the_run(stages: Callable[..., Opened]) -> None:
    opened = stages(None, 0.25, None, None, learning_rate={"peak": 1.0, "then": "linear"})
    assert follow(opened, ("a", 0), ("b", 99), ("c", 0), ("d", 6400)) == pytest.approx([1.0, 0.25, 0.5, 0.0])


def test_a_stage_is_warmed_up_and_decays_again_from_where_the_one_before_ended(stages: Callable[..., Opened]) -> None:
    again = {"start": "final", "peak": 1.0, "end": "10%", "warmup": "2 steps", "then": "cosine"}
    opened = stages({"peak": 1.0, "end": 0.2, "then": "linear"}, again, None, {"peak": "final", "then": "linear"})
    places = [("b", 0), ("b", 640), ("b", 1280), ("b", 6400), ("c", 6400), ("d", 0), ("d", 3200), ("d", 6400)]
    assert follow(opened, *places) == pytest.approx([0.2, 0.6, 1.0, 0.1, 0.1, 0.1, 0.05, 0.0])


SCHEDULES_OF_A_STAGE = st.none() | st.fixed_dictionaries(
    {
        "start": st.just("final"),
        "peak": st.just(2.0),  # above all rates before
        "warmup": st.sampled_from(["1M", "1B", "7B"]),
        "end": st.sampled_from([0.0, 0.7, "50%"]),
        "then": st.sampled_from(["linear", "cosine"]),
    }
)


@pytest.mark.slow
@given(st.lists(SCHEDULES_OF_A_STAGE, min_size=3, max_size=3))
def test_stages_that_take_up_the_rate_follow_without_a_jump(chosen: list[dict[str, Any] | None]) -> None:
    parts = [
        PAPER.stages[1].model_copy(
            update={"name": name, "learning_rate": schedule and LearningRate.model_validate(schedule)}
        )
        for name, schedule in zip("abcd", [{"peak": 1.0}, *chosen], strict=True)
    ]
    training = PAPER.training.model_copy(update={"learning_rate": None})
    recipe = PAPER.model_copy(update={"stages": parts, "training": training})
    plan = make_plan(recipe, Sizes({}, {}))
    for before, after in pairwise(plan.stages):
        end = before.stop_tokens - before.start_tokens
        last, first = follow((recipe, plan), (before.name, end), (after.name, 0))
        assert last == first


def test_the_first_stage_takes_up_the_rate_of_the_model(stages: Callable[..., Opened], tmp_path: Path) -> None:
    opened = stages({"peak": "final", "then": "cosine", "end": "1%"}, None)
    with pytest.raises(SapwoodError, match=r"which .* does not say: only models that Sapwood has trained do. Write"):
        final_rate(*opened, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    write_record(tmp_path, 3e-5)
    final = final_rate(*opened, tmp_path)
    assert final == 3e-5
    assert follow(opened, ("a", 0), ("a", 6400), ("b", 6400), final=final) == pytest.approx([3e-5, 3e-7, 3e-7])
    assert final_rate(*stages(1e-4, "final"), tmp_path) is None  # the stage before is meant there


@pytest.mark.parametrize(
    ("schedule", "recorded"), [({"start": "final", "peak": 1e-5, "warmup": 640}, 3e-5), ({"peak": "final"}, 0.0)]
)
def test_rates_that_do_not_fit_are_refused_before_training(
    stages: Callable[..., Opened], tmp_path: Path, schedule: dict[str, object], recorded: float
) -> None:
    (tmp_path / "config.json").write_text("{}")
    write_record(tmp_path, recorded)
    with pytest.raises(
        SapwoodError, match=f"Stage 'a': the learning rate cannot begin .* `final` is {recorded:g} here"
    ):
        final_rate(*stages(schedule), tmp_path)


def test_rates_of_later_stages_are_checked_too(stages: Callable[..., Opened], tmp_path: Path) -> None:
    opened = stages(1e-4, {"start": "final", "peak": 1e-5, "warmup": 640})
    with pytest.raises(SapwoodError, match=r"Stage 'b': .* begin at 0.0001, have its peak at 1e-05 .* 0.0001 here"):
        final_rate(*opened, tmp_path)


@pytest.mark.parametrize(
    ("schedule", "where", "message"),
    [
        (
            {"peak": 1.0, "warmup": "11 steps"},
            "warmup",
            "11 steps is more than the 6.4K tokens that the schedule lasts",
        ),
        ({"peak": "10%"}, "peak", "is what shares are taken of"),
        ({"peak": 0}, "peak", "expected more than 0"),
        ({"peak": 1.0, "end": "120%", "then": "linear"}, "peak", "the peak is the highest rate"),
        ({"peak": 1.0, "start": 2.0, "warmup": 640}, "peak", "the peak is the highest rate"),
        ({"peak": 1.0, "start": 0.5}, "start", "is where a warm-up begins, and there is none"),
        ({"peak": 1.0, "end": 0.5}, "end", "is for rates that fall"),
        ({"peak": 1.0, "then": "cosine", "decay": "10%"}, "decay", "is for `then: stable-decay`"),
        ({"peak": 1.0, "then": "linear", "shape": "1-sqrt"}, "shape", "is for `then: stable-decay`"),
        ({"peak": "last"}, "peak", "found 'last': expected a rate such as 1e-5, a share of the peak such as 10%, or"),
    ],
)
def test_what_a_schedule_cannot_be(
    stages: Callable[..., Opened], schedule: dict[str, object], where: str, message: str
) -> None:
    with pytest.raises(SapwoodError) as error:
        stages(schedule)
    assert f"stages.0.learning_rate.{where}: " in str(error.value)
    assert message in str(error.value)
