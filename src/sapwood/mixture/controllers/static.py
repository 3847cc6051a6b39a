"""The controller that moves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sapwood.mixture.controllers import Decision, Family


def keep(family: Family, reason: str, state: Mapping[str, Any]) -> Decision:
    """The shares as they are, with the reason why."""
    return Decision(shares=dict(family.shares), reasons=(reason,), state=dict(state))


class Static:
    """Keeps the mixture."""

    def decide(self, family: Family, state: Mapping[str, Any]) -> Decision:
        """The same shares."""
        return keep(family, "Nothing moves: the mixture is static.", state)
