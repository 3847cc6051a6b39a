"""The stage `alone`: whether an item can be understood by somebody who has seen nothing else, and is no copy."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.generation.client import Failure
from sapwood.synthesis.item import Item
from sapwood.synthesis.overlap import overlap
from sapwood.synthesis.references import reference, refers_to_passage
from sapwood.synthesis.stage import Ask, Stage, Verdict

COPIED_SHARE = 0.6
"""The share of a question that stands in the snippet from which on it counts as copied."""
RUN = {"zh": 12}
"""Tokens in a row that must be equal to be copied, by language; in others 8 words."""


class SelfContainednessStage(Stage):
    """Rejects items that refer to a text, a figure or anything else that the reader does not have, and copies."""

    name = "self_containedness"

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        """One verdict for each item. Nobody is asked."""
        return [_verdict(item) for item in items]


def _verdict(item: Item) -> Verdict:
    copied = overlap(item.question, item.snippet, RUN.get(item.language, 8)) if item.snippet else 0.0
    reason = reference(item.question)
    if reason is None and any(map(refers_to_passage, (item.reasoning, item.answer, *item.choices))):
        reason = "the solution refers to a passage"
    if reason is None and copied >= COPIED_SHARE:
        reason = "copied from the page"
    return Verdict(passed=reason is None, reason=reason or "", detail={"copied": round(copied, 3)})
