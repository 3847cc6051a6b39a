"""The learning rate as a pure function of the position in the run."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Literal

from sapwood.backbone.record import last_learning_rate
from sapwood.errors import SapwoodError
from sapwood.mixture.plan import Plan
from sapwood.recipe.schema import DecayShape, LearningRate, Recipe


def learning_rate(recipe: Recipe, plan: Plan, stage: str, tokens: float, final: float | None = None) -> float:
    """The learning rate after `tokens` tokens of a stage.

    A stage with a schedule of its own follows it from its first token to its last. Other stages follow
    `training.learning_rate`, which spans the run; without it, they hold the rate at which the stage before ended. What
    counts is the place in the plan: after a stage that a gate ended early, the schedule goes on at the next one.

    `final` is the rate at which the base model ended. Raises SapwoodError where a schedule asks for it and there is
    none, or where it does not fit the others.
    """
    number = next(number for number, part in enumerate(plan.stages) if part.name == stage)
    whole = recipe.training.learning_rate
    own = recipe.stages[number].learning_rate
    part = plan.stages[number]
    before = final
    if number and (own.is_relative if own else whole is None):
        last = plan.stages[number - 1]
        before = learning_rate(recipe, plan, last.name, last.stop_tokens - last.start_tokens, final)
    try:
        if own is not None:
            return rate(own, tokens, part.stop_tokens - part.start_tokens, recipe.full_batch(stage), before)
        if whole is not None:
            first = recipe.full_batch(plan.stages[0].name)
            return rate(whole, part.start_tokens + tokens, plan.tokens, first, final)
    except SapwoodError as error:
        raise SapwoodError(f"Stage '{stage}': {error}") from None
    assert before is not None  # the first stage has one of the two
    return before


def rate(schedule: LearningRate, tokens: float, total: int, batch_tokens: int, before: float | None = None) -> float:
    """The rate of one schedule, `tokens` after its beginning, when it lasts `total` tokens.

    `before` is the rate at which ended what came before. Raises SapwoodError as `learning_rate` does.
    """
    start, peak, end = _rates(schedule, before)
    warmup = schedule.warmup.tokens(batch_tokens)
    if tokens < warmup:
        return start + (peak - start) * tokens / warmup
    if schedule.then == "constant":
        return peak
    shape: DecayShape
    if schedule.then == "stable-decay":
        begin, shape = max(warmup, total - float(schedule.decay) * total), schedule.shape
    else:
        begin, shape = warmup, schedule.then
    done = min(1.0, max(0.0, (tokens - begin) / (total - begin))) if total > begin else 0.0
    # The sum may miss the peak by its last bit: of 1e-7 over an end of 1.9921875e-08, it does.
    return end + (peak - end) * remaining(shape, done) if done else peak


def remaining(shape: DecayShape, done: float) -> float:
    """What is left of a rate, from 1 to 0, when a share `done` of its decay is over."""
    if shape == "linear":
        return 1 - done
    return 1 - math.sqrt(done) if shape == "1-sqrt" else (1 + math.cos(math.pi * done)) / 2


def final_rate(recipe: Recipe, plan: Plan, model_directory: Path) -> float | None:
    """The rate at which the model in `model_directory` ended, if the recipe takes it up.

    Raises SapwoodError where the model does not say, or where a schedule of the recipe cannot be followed.
    """
    final = last_learning_rate(model_directory) if takes_up_final(recipe) else None
    if takes_up_final(recipe) and final is None:
        raise SapwoodError(
            f"The recipe begins at the learning rate at which the model ended (`final`), which {model_directory} does "
            "not say: only models that Sapwood has trained do. Write the rate itself, such as 1e-5."
        )
    for stage in plan.stages:
        learning_rate(recipe, plan, stage.name, 0, final)
    return final


def takes_up_final(recipe: Recipe) -> bool:
    """Whether a schedule begins at the rate at which the base model ended."""
    schedules = (recipe.training.learning_rate, recipe.stages[0].learning_rate)
    return any(schedule is not None and schedule.is_relative for schedule in schedules)


def _rates(schedule: LearningRate, before: float | None) -> tuple[float, float, float]:
    """Start, peak and end as numbers."""

    def number(value: float | Fraction | Literal["final"]) -> float:
        if value != "final":
            return float(value)
        if before is None:
            raise SapwoodError("the learning rate `final` is not known. Write the rate itself, such as 1e-5.")
        return before

    peak = number(schedule.peak)
    start, end = (
        peak * float(value) if isinstance(value, Fraction) else number(value)
        for value in (schedule.start, schedule.end)
    )
    if not peak or max(start, end) > peak:
        raise SapwoodError(
            f"the learning rate cannot begin at {start:g}, have its peak at {peak:g} and end at {end:g}, since the "
            f"peak is the highest and above 0. `final` is {before:g} here; write the rates themselves."
        )
    return start, peak, end
