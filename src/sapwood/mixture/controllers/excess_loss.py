"""Exponentiated gradient on what lies above a target.

With L_i the loss of sibling i in bits per byte on held-out text, and p_i its share,

    s_i       = max(L_i - target_i, 0)
    log p_i  <- log p_i + eta * s_i, normalised.

The rule is shared by two methods that differ in where s comes from. *Sheared-LLaMA's dynamic batch loading* (arXiv
2310.06694) takes the difference between the loss on held-out text and a target from a scaling law, with eta = 1; its
paper cuts the difference off at 0, as is done here, while its released code does not, so that what is below its target
loses share faster there. *DoReMi* (arXiv 2305.10429) takes the excess of a small proxy's training loss over that of a
reference model, cut off at 0 token by token, with eta = 1, adds a little of the uniform mixture, and trains the final
model on the average of the shares; here the model in training is its own proxy, the excess is of means over documents,
and the floor stands in for the uniform part.

Where the recipe names no target it is the base model's own loss, measured on the same documents: the rule then gives to
what is being forgotten until nothing is worse than it was, which needs no guess of what is reachable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sapwood.mixture.controllers import Decision, Family
from sapwood.mixture.controllers.bounds import move, reached
from sapwood.mixture.controllers.smoothing import smooth
from sapwood.mixture.controllers.static import keep
from sapwood.mixture.controllers.wording import by_more_than, cause, explain
from sapwood.mixture.measured import improvement, is_judged
from sapwood.recipe.mixture import Controller
from sapwood.statistics.change import BITS_PER_BYTE
from sapwood.statistics.estimate import Estimate

STRENGTH = 1.0
"""The step eta where the recipe does not give it, per bit per byte."""


class ExcessLoss:
    """Raises the shares of siblings whose loss lies above its target."""

    def __init__(self, settings: Controller) -> None:
        """The settings of a stage's controller."""
        self._settings = settings

    def decide(self, family: Family, state: Mapping[str, Any]) -> Decision:
        """The next shares. Siblings without a measurement, or without a target, keep theirs.

        `state` holds the smoothed excesses by sibling in bits per byte, under `excess`.
        """
        noise = self._settings.noise
        differences = self._differences(family)
        excesses = {n: max(-d.value, 0.0) if d.beyond(noise) else 0.0 for n, d in differences.items()}
        smoothed = smooth(excesses, state.get("excess", {}), self._settings.smoothing)
        signal = {name: smoothed[name] for name in excesses}
        remember = {"excess": smoothed}
        if not differences:
            return keep(family, "Nothing moves: no loss and target were measured.", remember)
        if not any(signal.values()):
            reason = f"Nothing moves: no loss is above its target{by_more_than(noise)}."
            return keep(family, reason, remember)
        strength = STRENGTH if self._settings.strength is None else self._settings.strength
        largest = max(signal.values())
        proposed = {
            name: float(family.shares[name]) * math.exp(strength * (excess - largest))
            for name, excess in signal.items()
        }
        shares = move(family, proposed, self._settings)
        causes = {
            name: cause(shares[name] - family.shares[name], signal[name], self._fact(name, differences), excess)
            for name, excess in excesses.items()
        }
        reasons = explain(family.shares, shares, causes, reached(family, shares, self._settings))
        return Decision(shares=shares, reasons=reasons, state=remember)

    def _differences(self, family: Family) -> dict[str, Estimate]:
        """By how much every sibling with a share is better than its target, and a standard error where noise counts."""
        found: dict[str, Estimate] = {}
        for name, measured in family.measured.items():
            if not family.shares.get(name):
                continue
            if name in self._settings.targets:
                better = BITS_PER_BYTE.improvement(self._settings.targets[name], measured.bits_per_byte)
                found[name] = improvement(better, measured.standard_error)
            elif measured.since_base is not None:
                found[name] = measured.since_base
        return {name: change for name, change in found.items() if is_judged(change, self._settings.noise)}

    def _fact(self, name: str, differences: Mapping[str, Estimate]) -> str:
        target = self._settings.targets.get(name)
        goal = "the base model's" if target is None else f"its target of {target:g}"
        difference = differences[name]
        if not difference.beyond(self._settings.noise):
            return f"its loss does not differ from {goal}{by_more_than(self._settings.noise)}"
        place = "above" if difference.value < 0 else "below"
        return f"its loss is {abs(difference.value):.3g} bits per byte {place} {goal}"
