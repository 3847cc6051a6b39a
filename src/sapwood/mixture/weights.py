"""The mixture: one exact weight for every domain, in a tree of groups, sources and topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sapwood.recipe.mixture import Rule

Weights = dict[str, Fraction]
"""Exact shares by name; they sum to exactly 1."""

PRECISION = 10_000
"""Shares that are computed, and not written in the recipe, are whole multiples of one over this."""

DEFAULT_EPOCHS = Fraction(4)
"""How often `unimax` goes through a domain at most, where the recipe sets no limit. Up to about four epochs, repeated
text is worth nearly as much as new text (Muennighoff et al., 2305.16264)."""


@dataclass(frozen=True)
class Mixture:
    """Weights of domains, and the group of every source.

    A domain is called by its source, or as `SOURCE/TOPIC` where the topics of the source are domains of their own.
    """

    weights: Weights
    """By domain, in the order of the recipe; positive, with the sum 1."""
    groups: dict[str, str]
    """The group of every source."""

    def path(self, domain: str) -> tuple[str, ...]:
        """The nodes from the group down to the domain itself: group and source, or group, source and topic."""
        source = source_of(domain)
        return (self.groups[source], source) if source == domain else (self.groups[source], source, domain)

    def totals(self, level: int) -> Weights:
        """The weights of the nodes at a level of the tree: 0 for groups, 1 for sources, 2 for topics."""
        totals: Weights = {}
        for domain, weight in self.weights.items():
            for node in self.path(domain)[level : level + 1]:
                totals[node] = totals.get(node, Fraction(0)) + weight
        return totals

    def with_totals(self, totals: Mapping[str, Fraction], level: int) -> Mixture:
        """The mixture with other weights of some nodes at a level; below them the proportions stay."""
        now = self.totals(level)
        weights: Weights = {}
        for domain, weight in self.weights.items():
            node = "".join(self.path(domain)[level : level + 1])  # "" above a leaf that is not so deep
            weights[domain] = weight * totals[node] / now[node] if node in totals else weight
        return Mixture({domain: weight for domain, weight in weights.items() if weight}, self.groups)

    def to_json(self) -> dict[str, Any]:
        """As the ledger writes it: weights as ratios, inside sources inside groups."""
        tree: dict[str, Any] = {}
        for domain, weight in self.weights.items():
            group, source, *topic = self.path(domain)
            inside = tree.setdefault(group, {})
            if topic:
                inside.setdefault(source, {})[domain.removeprefix(f"{source}/")] = str(weight)
            else:
                inside[source] = str(weight)
        return tree

    @staticmethod
    def from_json(tree: Mapping[str, Any]) -> Mixture:
        """Reads what `to_json` wrote."""
        weights: Weights = {}
        groups: dict[str, str] = {}
        for group, sources in tree.items():
            for source, inside in sources.items():
                groups[source] = group
                if isinstance(inside, str):
                    weights[source] = Fraction(inside)
                else:
                    weights |= {f"{source}/{topic}": Fraction(weight) for topic, weight in inside.items()}
        return Mixture(weights, groups)


def source_of(domain: str) -> str:
    """The source of a domain."""
    return domain.partition("/")[0]


def normalised(shares: Mapping[str, Fraction]) -> Weights:
    """Shares as people say them, such as 2 to 8, as shares of 1; those that are 0 are left out."""
    total = sum(shares.values())
    return {name: Fraction(share, total) for name, share in shares.items() if share}


def shares_by_rule(
    rule: Rule, tokens: Mapping[str, int], budget: Fraction, limits: Mapping[str, Fraction | None]
) -> Weights:
    """Shares that follow from what there is.

    `tokens` are there by name; `budget` tokens are to be trained on; `limits` are how often each may be gone through.
    Names without tokens get nothing. `unimax` gives all the same, but none more than its limit of epochs (Chung et al.,
    2304.09151, Algorithm 1).
    """
    there = {name: count for name, count in tokens.items() if count}
    if rule == "uniform":
        return normalised(dict.fromkeys(there, Fraction(1)))
    if rule == "natural":
        return in_units({name: Fraction(count) for name, count in there.items()})
    given: dict[str, Fraction] = {}
    left = budget
    for number, name in enumerate(sorted(there, key=lambda name: (there[name], name))):
        epochs = limits.get(name) or DEFAULT_EPOCHS
        given[name] = min(left / (len(there) - number), epochs * there[name])
        left -= given[name]
    return in_units({name: given[name] for name in there})


def in_units(shares: Mapping[str, Fraction]) -> Weights:
    """Shares as multiples of one over PRECISION, each as near as can be (largest remainder), and none 0.

    Raises ValueError for more shares than there are units.
    """
    if len(shares) > PRECISION:
        raise ValueError(f"{len(shares)} shares cannot be multiples of 1/{PRECISION}")
    units = whole(normalised(shares), PRECISION, least=1)
    return {name: Fraction(count, PRECISION) for name, count in units.items()}


def whole(weights: Mapping[str, Fraction], total: int, least: int = 0) -> dict[str, int]:
    """`total` in whole parts, by weights that sum to 1, each as near as can be (largest remainder).

    No part is below `least`.
    """
    exact = {name: weight * total for name, weight in weights.items()}
    parts = {name: max(least, int(amount)) for name, amount in exact.items()}
    rest = total - sum(parts.values())
    order = sorted(parts, key=lambda name: parts[name] - exact[name])
    while rest:
        step = 1 if rest > 0 else -1
        for name in order if rest > 0 else reversed(order):
            if rest and parts[name] + step >= least:
                parts[name] += step
                rest -= step
    return parts


def spread(weight: Fraction, shares: Mapping[str, Fraction]) -> Weights:
    """A node's weight over its children."""
    return {name: weight * share for name, share in shares.items()}
