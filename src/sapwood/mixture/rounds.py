"""Deciding the next round: how long it is, and with which weights."""

from __future__ import annotations

from sapwood.mixture.ledger import Ledger, Losses, Round
from sapwood.mixture.plan import Plan
from sapwood.recipe.schema import Recipe


def next_round(recipe: Recipe, plan: Plan, ledger: Ledger, position: int, losses: Losses) -> Round:
    """The round that begins at `position`, which is the beginning of the run or the end of the last round.

    With a static mixture a stage is one round. `losses` are the losses measured at `position`; they are written down
    beside the decision.
    """
    number = plan.stage_at(position)
    stage = plan.stages[number]
    shares = ", ".join(f"{group} {float(share):g}" for group, share in recipe.stages[number].mixture.items())
    return Round(
        index=len(ledger.rounds),
        stage=stage.name,
        start=position,
        sequences=stage.stop - position,
        weights=stage.weights,
        first=ledger.counts_until(position),
        reasons=(f"Stage '{stage.name}' keeps the mixture of the recipe: {shares}.",),
        losses=losses,
    )
