"""What becomes of a mixture when a domain has been gone through as often as it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from sapwood.errors import SapwoodError
from sapwood.mixture.domains import Domain
from sapwood.mixture.weights import Mixture, Weights, source_of


@dataclass(frozen=True)
class Allowed:
    """A mixture that can be trained on, and for how long."""

    mixture: Mixture
    """Without the domains that are used up; their weight goes to those nearest in the tree that are not."""
    sequences: int
    """How many sequences can be trained before the next domain is used up."""
    reasons: tuple[str, ...]
    """Which domains were used up, and who takes their place."""
    emptied: tuple[str, ...]
    """Groups that had a share and have nothing left."""


def allow(
    proposed: Mixture,
    domains: Iterable[Domain],
    consumed: Mapping[str, int],
    deficit: Mapping[str, Fraction],
    sequence_length: int,
    sequences: int,
) -> Allowed:
    """The mixture nearest to the one proposed in which no domain goes beyond its limit of epochs.

    `consumed` are tokens by domain so far, `deficit` sequences by domain (`Apportionment`), `sequences` how many are
    wanted. Raises SapwoodError where everything is used up.
    """
    left = {
        domain.name: max(0, domain.limit - consumed.get(domain.name, 0)) // sequence_length
        for domain in domains
        if domain.limit is not None
    }
    mixture, reasons = proposed, []
    used_up = {name for name in proposed.weights if left.get(name, 2) < 2}
    while True:
        if used_up >= set(proposed.weights):
            names = ", ".join(f"'{name}'" for name in proposed.weights)
            raise SapwoodError(
                f"There is nothing left to train on: {names} were gone through as often as `max_epochs` allows. "
                "Raise it, add text, or make the stage shorter."
            )
        mixture = _without(proposed, used_up)
        possible = min([sequences, *(_until(mixture, deficit, name, count) for name, count in left.items())])
        if possible > 0:
            break
        used_up |= {name for name, count in left.items() if _until(mixture, deficit, name, count) <= 0}
    for name in proposed.weights:
        if name in used_up:
            reasons.append(_reason(proposed, mixture, name))
    emptied = tuple(group for group in proposed.totals(0) if group not in mixture.totals(0))
    return Allowed(mixture, possible, tuple(reasons), emptied)


def _until(mixture: Mixture, deficit: Mapping[str, Fraction], domain: str, left: int) -> int:
    """For how many sequences a domain lasts when `left` more of it are allowed: it may get one more than its share."""
    weight = mixture.weights.get(domain)
    if weight is None:
        return 1 << 62
    return int((left - 1 - max(deficit.get(domain, Fraction(0)), Fraction(0))) / weight)


def _without(proposed: Mixture, used_up: set[str]) -> Mixture:
    """The mixture without some domains: their weight goes to the rest of their source, else group, else to all."""
    weights: Weights = dict(proposed.weights)
    for domain in used_up:
        weight = weights.pop(domain)
        group, source = proposed.path(domain)[:2]
        heirs = next(
            chosen
            for chosen in (
                [name for name in weights if name not in used_up and source_of(name) == source],
                [name for name in weights if name not in used_up and proposed.groups[source_of(name)] == group],
                [name for name in weights if name not in used_up],
            )
            if chosen
        )
        total = sum(weights[name] for name in heirs)
        for name in heirs:
            weights[name] += weight * weights[name] / total
    return Mixture({name: weights[name] for name in proposed.weights if name in weights}, proposed.groups)


def _reason(proposed: Mixture, mixture: Mixture, domain: str) -> str:
    group, source = proposed.path(domain)[:2]
    share = f"{float(proposed.weights[domain]):.2%}"
    if any(source_of(name) == source for name in mixture.weights):
        heirs = f"the other topics of '{source}'"
    elif group in mixture.totals(0):
        heirs = f"the other sources of '{group}'"
    else:
        heirs = f"the other groups, since nothing is left in '{group}'"
    return f"'{domain}' was gone through as often as it may be; its {share} go to {heirs}."
