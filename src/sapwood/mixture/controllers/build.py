"""From the recipe's settings to the controller that they ask for."""

from __future__ import annotations

from sapwood.mixture.controllers import Decider
from sapwood.mixture.controllers.excess_loss import ExcessLoss
from sapwood.mixture.controllers.learnability import Learnability
from sapwood.mixture.controllers.perplexity_change import PerplexityChange
from sapwood.mixture.controllers.static import Static
from sapwood.recipe.mixture import Controller


def decider(settings: Controller) -> Decider:
    """The controller of that kind."""
    if settings.kind == "perplexity-change":
        return PerplexityChange(settings)
    if settings.kind == "excess-loss":
        return ExcessLoss(settings)
    if settings.kind == "learnability":
        return Learnability(settings)
    return Static()
