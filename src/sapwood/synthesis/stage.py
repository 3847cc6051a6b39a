"""What all stages of verification have in common: items in, a verdict on each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sapwood.generation.cache import Completion, Request
from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.synthesis.item import Item

Ask = Callable[[ModelServer, Sequence[Request]], list[Completion | Failure]]
"""Asks a model many things at once: the answers in the order of the requests. What was asked before costs nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stage says of an item."""

    passed: bool
    reason: str = ""
    """Why not, as a phrase that can be counted: the same for all items with the same fault."""
    score: float | None = None
    """What the stage compares with its threshold, where it has one: a share of votes, a similarity, a pass rate."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """The evidence, for people, as JSON."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Stage(ABC):
    """A stage of verification."""

    name: ClassVar[str]
    """How records and reports call it."""
    checks_answers: ClassVar[bool] = False
    """Whether an item that passed has an answer which something else than the generator's word speaks for."""

    def require(self) -> None:  # noqa: B027 - most stages need nothing but servers
        """Raises SapwoodError where something is missing that programs need, before anything is asked."""

    @abstractmethod
    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        """One for each item: a verdict; None where the stage has nothing to say of such items; a failure where a
        server gave no answer, so that it must be tried again."""

    def remember(self, items: Iterable[Item]) -> None:  # noqa: B027 - most stages look at every item by itself
        """Takes in items that passed this stage before the work was stopped."""
