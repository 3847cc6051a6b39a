"""Votes: a model answers the question several times without seeing the answer that was given, and the two are compared.

Self-consistency (Wang et al., arXiv 2203.11171) as a check: where most of its answers are the one that was given, that
one is likely right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sapwood.answers.equal import is_comparable, same_answers
from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import SelfConsistency
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict
from sapwood.synthesis.verify.replies import Asker, Replies, of_those


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


class SelfConsistencyStage(Stage):
    """Items whose answer gets enough of the votes pass. It has nothing to say of multiple choice, of code, and of
    answers that are neither a number, nor a formula, nor a short phrase."""

    name = "self_consistency"
    checks_answers = True

    def __init__(self, settings: SelfConsistency, generator: ModelServer, own: Path | None = None) -> None:
        """`generator` is asked where the settings name no server; `own` are prompts of one's own."""
        self.settings = settings
        self.asker = Asker(settings.server or generator, settings.sampling, own)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        tallies = of_those(items, is_open, lambda those: vote(those, self.asker, self.settings.samples, ask))
        return [self._judge(tally) if isinstance(tally, Tally) else tally for tally in tallies]

    def _judge(self, tally: Tally) -> Verdict:
        agreement = self.settings.agreement
        if tally.share >= agreement:
            return tally.verdict()
        _, share = tally.majority
        return tally.verdict("another answer has the votes" if share >= agreement else "the votes disagree")


def is_open(item: Item) -> bool:
    """Whether the item asks for an answer that can be compared with others."""
    return not item.choices and not item.tests and is_comparable(item.answer)


def vote(items: Sequence[Item], asker: Asker, samples: int, ask: Ask) -> list[Tally | Failure]:
    """Has all items answered so often, and counts."""
    questions = [
        [
            asker.question(
                "check-answer",
                item.language,
                {"question": item.question},
                sample,
            )
            for sample in range(samples)
        ]
        for item in items
    ]
    replies = asker.get(questions, ask)
    return [
        _tally(item.answer, reply) if isinstance(reply, Replies) else reply
        for item, reply in zip(items, replies, strict=True)
    ]


def _tally(given: str, replies: Replies) -> Tally:
    groups = [(given, 0)]
    for sections in replies.sections:
        if sections is not None:
            answer = sections["answer"]
            group = next((n for n, (known, _) in enumerate(groups) if same_answers(known, answer)), None)
            if group is None:
                groups.append((answer, 1))
            else:
                groups[group] = groups[group][0], groups[group][1] + 1
    return count(given, groups, replies)
