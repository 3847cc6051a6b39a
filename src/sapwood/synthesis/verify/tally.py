"""How often a model gave which answer to an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sapwood.synthesis.stage import Verdict
from sapwood.synthesis.verify.replies import Replies


@dataclass(frozen=True, slots=True)
class Tally:
    """The answers to one item, the same ones counted together."""

    given: str
    """The answer that the item has."""
    counts: tuple[tuple[str, int], ...]
    """Every answer and how often it came, the most frequent first; that of the item as it is written there."""
    replies: Replies

    @property
    def share(self) -> Fraction:
        """How many of all replies gave the item's answer. Replies that cannot be read gave none."""
        return Fraction(dict(self.counts).get(self.given, 0), len(self.replies.sections))

    @property
    def majority(self) -> tuple[str, Fraction]:
        """The most frequent answer, and its share of all replies; empty where no reply can be read."""
        answer, count = self.counts[0] if self.counts else ("", 0)
        return answer, Fraction(count, len(self.replies.sections))

    def verdict(self, reason: str = "") -> Verdict:
        """The verdict with the answers as evidence. `reason` is why the item did not pass, or empty."""
        answer, share = self.majority
        detail: dict[str, Any] = {
            "majority": answer,
            "majority_share": float(share),
            "answers": [{"answer": text, "count": count} for text, count in self.counts],
            "unreadable": len(self.replies.sections) - sum(count for _, count in self.counts),
        }
        return Verdict(
            passed=not reason,
            reason=reason,
            score=float(self.share),
            detail=detail,
            prompt_tokens=self.replies.prompt_tokens,
            completion_tokens=self.replies.completion_tokens,
        )


def count(given: str, groups: Sequence[tuple[str, int]], replies: Replies) -> Tally:
    """The tally of answers in the order in which they came first."""
    return Tally(given, tuple(sorted((group for group in groups if group[1]), key=lambda group: -group[1])), replies)
