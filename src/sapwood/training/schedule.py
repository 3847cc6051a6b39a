"""The learning rate as a pure function of the position in the run."""

from __future__ import annotations

import math

from sapwood.mixture.plan import Plan
from sapwood.recipe.schema import LearningRate, Recipe


def learning_rate(recipe: Recipe, plan: Plan, tokens: float) -> float:
    """The learning rate after `tokens` tokens of the run.

    A stage with a schedule of its own follows it from the stage's first token to its last. Other stages follow
    `training.learning_rate`, which spans the run; without it, they hold the rate at which the stage before ended.
    """
    length = plan.sequence_length
    number = plan.stage_at(min(int(tokens // length), plan.sequences - 1))
    whole = recipe.training.learning_rate
    own = recipe.stages[number].learning_rate
    if own is None and whole is not None:
        return rate(whole, tokens, plan.tokens, plan.batch_tokens)
    while own is None:
        number -= 1
        own = recipe.stages[number].learning_rate
    stage = plan.stages[number]
    total = stage.sequences * length
    return rate(own, min(tokens - stage.start * length, total), total, plan.batch_tokens)


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
