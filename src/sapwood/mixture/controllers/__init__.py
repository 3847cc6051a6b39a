"""What moves the mixture: measured losses in; shares and the reasons for them out. Pure functions, without torch.

A controller decides about one family of siblings at a time: the topics of a source, the sources of a group, or the
groups. What it remembers from round to round it gives back as plain JSON, which the ledger keeps; so a resumed run
decides as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from sapwood.mixture.measured import Measured


@dataclass(frozen=True, kw_only=True)
class Family:
    """Siblings whose shares are decided together."""

    name: str
    """What they are, in words, such as `topics of web-zh`."""
    shares: Mapping[str, Fraction]
    """Their shares now; they sum to exactly 1."""
    initial: Mapping[str, Fraction]
    """Their shares when the stage began."""
    measured: Mapping[str, Measured]
    """What was measured of them just now. A sibling of which nothing was measured is not in it."""
    tokens: Mapping[str, int]
    """Tokens of them that the run has trained on so far."""
    budget: int
    """The tokens of the whole stage."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a controller answers."""

    shares: dict[str, Fraction]
    """The shares of the next round, in the order of the family; they sum to exactly 1."""
    reasons: tuple[str, ...]
    """Why, in words that can be read without the code."""
    state: dict[str, Any] = field(default_factory=dict)
    """What to remember until the next decision, as JSON."""


class Decider(Protocol):
    """One kind of controller, with its settings."""

    def decide(self, family: Family, state: Mapping[str, Any]) -> Decision:
        """The shares of the next round; `state` is what the last decision about the same family left, or empty."""
        ...
