"""From the shares that people write, group by group, to one exact weight for every domain."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

Weights = dict[str, Fraction]
"""A weight for every domain, in the order of the recipe; they sum to exactly 1."""


def leaf_weights(mixture: Mapping[str, Fraction], groups: Mapping[str, Mapping[str, Fraction]]) -> Weights:
    """The weight of a source is its group's share times its share inside the group, both normalised.

    `mixture` are shares of groups; `groups` the shares of sources in each. Domains of weight 0 are left out.
    """
    total = sum(mixture.values())
    weights = {
        source: Fraction(share, total) * Fraction(inner, sum(groups[group].values()))
        for group, share in mixture.items()
        for source, inner in groups[group].items()
    }
    return {source: weight for source, weight in weights.items() if weight}
