"""The learning rate as a pure function of the position in the run."""

from __future__ import annotations

import math

from sapwood.mixture.plan import Plan
from sapwood.recipe.schema import LearningRate, Recipe


def learning_rate(recipe: Recipe, plan: Plan, stage: str, tokens: float) -> float:
    """The learning rate after `tokens` tokens of a stage.

    A stage with a schedule of its own follows it from its first token to its last. Other stages follow
    `training.learning_rate`, which spans the run; without it, they hold the rate at which the stage before ended. What
    counts is the place in the plan: after a stage that a gate ended early, the schedule goes on at the next one.
    """
    number = next(number for number, part in enumerate(plan.stages) if part.name == stage)
    whole = recipe.training.learning_rate
    own = recipe.stages[number].learning_rate
    if own is None and whole is not None:
        return rate(whole, plan.stages[number].start_tokens + tokens, plan.tokens, recipe.training.batch_tokens)
    tokens += plan.stages[number].start_tokens
    while own is None:
        number -= 1
        own = recipe.stages[number].learning_rate
    begin, end = plan.stages[number].start_tokens, plan.stages[number].stop_tokens
    return rate(own, min(tokens, end) - begin, end - begin, recipe.training.batch_tokens)


def rate(schedule: LearningRate, tokens: float, total: int, batch_tokens: int) -> float:
    """The rate of one schedule, `tokens` after its beginning, when it lasts `total` tokens."""
    warmup = schedule.warmup.tokens(batch_tokens)
    if tokens < warmup:
        return schedule.start + (schedule.peak - schedule.start) * tokens / warmup
    if schedule.then == "constant":
        return schedule.peak
    begin = total - float(schedule.decay) * total if schedule.then == "stable-decay" else warmup
    begin = max(begin, warmup)
    done = min(1.0, max(0.0, (tokens - begin) / (total - begin))) if total > begin else 1.0
    remaining = (1 + math.cos(math.pi * done)) / 2 if schedule.then == "cosine" else 1 - done
    return schedule.end + (schedule.peak - schedule.end) * remaining
