"""The paper's rule: what gets worse gets more (Llama-3-SynE, arXiv 2407.18743, topic-based data mixture).

With p_i(t) the perplexity of sibling i after round t and r_i its share,

    delta_i  = the change p_i(t) - p_i(t-1), normalised over the siblings
    f_i      = 1 + alpha * delta_i * w_i
    r_i(t)   = r_i(t-1) * f_i / sum_j r_j(t-1) * f_j

so that a rising perplexity raises a share (the paper's figure 1). The paper does not say how changes are normalised,
nor its alpha and w; nor has it a floor for noise, smoothing, or bounds. Ours are settings, and `docs/controllers.md`
names each choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sapwood.mixture.controllers import Decision, Family
from sapwood.mixture.controllers.bounds import move, reached
from sapwood.mixture.controllers.smoothing import smooth
from sapwood.mixture.controllers.static import keep
from sapwood.mixture.controllers.wording import by_more_than, cause, explain, from_to
from sapwood.mixture.measured import Measured, is_judged
from sapwood.recipe.mixture import Controller

STRENGTH = 0.1
"""The paper's alpha where the recipe does not give it; the paper does not either."""
LEAST_FACTOR = 0.01
"""f_i is never smaller, as a share cannot be negative. Reached only where alpha * delta_i * w_i falls below -0.99."""


class PerplexityChange:
    """Raises the shares of siblings whose perplexity rose, and lowers those of siblings whose perplexity fell."""

    def __init__(self, settings: Controller) -> None:
        """The settings of a stage's controller."""
        self._settings = settings

    def decide(self, family: Family, state: Mapping[str, Any]) -> Decision:
        """The next shares. Siblings that were not measured twice keep theirs: else what others give would flow to them
        round after round, and nothing could ever show that it is too much.

        `state` holds the smoothed normalised changes by sibling, under `change`.
        """
        past = state.get("change", {})
        changes = normalised_changes(family, self._settings)
        smoothed = smooth(changes, past, self._settings.smoothing)
        signal = {name: smoothed[name] * self._settings.importance.get(name, 1.0) for name in changes}
        remember = {"change": smoothed}
        if not changes:
            return keep(family, "Nothing moves: nothing has been measured twice yet.", remember)
        if not any(signal.values()):
            return keep(family, self._nothing(family), remember)
        strength = STRENGTH if self._settings.strength is None else self._settings.strength
        proposed = {
            name: float(share) * max(1 + strength * signal[name], LEAST_FACTOR)
            for name, share in family.shares.items()
            if name in changes
        }
        shares = move(family, proposed, self._settings)
        causes = {
            name: cause(shares[name] - family.shares[name], signal[name], self._fact(name, family), change)
            for name, change in changes.items()
        }
        reasons = explain(family.shares, shares, causes, reached(family, shares, self._settings))
        return Decision(shares=shares, reasons=reasons, state=remember)

    def _nothing(self, family: Family) -> str:
        if any(m.since_last and m.since_last.beyond(self._settings.noise) for m in family.measured.values()):
            return "Nothing moves: what changed has an importance of 0."
        return f"Nothing moves: no perplexity changed{by_more_than(self._settings.noise)}."

    def _fact(self, name: str, family: Family) -> str:
        measured = family.measured[name]
        if measured.since_last is None or not measured.since_last.beyond(self._settings.noise):
            return f"its perplexity did not change{by_more_than(self._settings.noise)}"
        before, after = perplexity_before(measured), measured.perplexity
        return f"its perplexity {'rose' if after > before else 'fell'} {from_to(before, after)}"


def normalised_changes(family: Family, settings: Controller) -> dict[str, float]:
    """delta_i of every sibling that has a share and was measured twice, without a unit; rising perplexity is above 0.

    A sibling with one held-out document, whose changes have no standard error, is judged only where `noise` is 0.

    `largest`: the changes in perplexity divided by the largest of their magnitudes, so that they lie in [-1, 1].
    `relative`: each divided by the sibling's own perplexity before. Changes within the noise are 0.
    """
    measured = {
        name: family.measured[name]
        for name, share in family.shares.items()
        if share > 0 and name in family.measured and is_judged(family.measured[name].since_last, settings.noise)
    }
    changes = {name: _counted(each, settings) for name, each in measured.items()}
    if settings.normalise == "relative":
        return {name: change / perplexity_before(measured[name]) for name, change in changes.items()}
    largest = max(map(abs, changes.values()), default=0.0)
    return {name: change / largest if largest else 0.0 for name, change in changes.items()}


def perplexity_before(measured: Measured) -> float:
    """The perplexity per token at the measurement before, on the same documents.

    Their bytes and tokens are the same, so nats per token have changed in proportion to bits per byte.
    """
    if measured.since_last is None or measured.bits_per_byte <= 0:
        return measured.perplexity
    before = measured.bits_per_byte + measured.since_last.value
    return math.exp(measured.nats_per_token * before / measured.bits_per_byte)


def _counted(measured: Measured, settings: Controller) -> float:
    """The change in perplexity; 0 where it is within the noise."""
    if measured.since_last is None or not measured.since_last.beyond(settings.noise):
        return 0.0
    return measured.perplexity - perplexity_before(measured)
