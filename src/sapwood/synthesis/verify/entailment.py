"""Facts: what an item quotes must stand on the page, and a second model says whether the answer follows from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sapwood.corpus.characters import Hashes
from sapwood.corpus.ngrams import tokenise
from sapwood.generation.client import Failure
from sapwood.recipe.synthesis import Entailment
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict
from sapwood.synthesis.verify.replies import Asker, Replies, of_those, word_of

QUOTED = 0.8
"""The share of the evidence that must stand on the page, word by word and in one place."""

_REASONS = {"no": "does not follow", "unclear": "cannot be told from the page", None: "the judge is not understood"}


class EntailmentStage(Stage):
    """Items whose answer follows from what they quote pass. It has nothing to say of items that quote nothing: those
    were only inspired by their page, and must stand alone."""

    name = "entailment"
    checks_answers = True

    def __init__(self, settings: Entailment, own: Path | None = None) -> None:
        """`own` are prompts of one's own."""
        self.settings = settings
        self.asker = Asker(settings.server, settings.sampling, own)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        return of_those(items, _quotes, lambda those: self._check(those, ask))

    def _check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure]:
        shares = [quoted_share(item.evidence, item.snippet) for item in items]
        judged = of_those(
            list(zip(items, shares, strict=True)),
            lambda pair: pair[1] >= QUOTED,
            lambda pairs: self._judge([item for item, _ in pairs], ask),
        )
        return [
            verdict or Verdict(passed=False, reason="evidence not in the page", detail={"quoted_share": share})
            for verdict, share in zip(judged, shares, strict=True)
        ]

    def _judge(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure]:
        questions = [
            [
                self.asker.question("check-facts", item.language, _values(item), sample)
                for sample in range(self.settings.samples)
            ]
            for item in items
        ]
        replies = self.asker.get(questions, ask)
        return [self._verdict(reply) if isinstance(reply, Replies) else reply for reply in replies]

    def _verdict(self, replies: Replies) -> Verdict:
        words = Counter(word_of(sections) for sections in replies.sections)
        share = Fraction(words["yes"], len(replies.sections))
        passed = share >= self.settings.agreement
        against = next(word for word, _ in words.most_common() if word != "yes") if not passed else None
        return Verdict(
            passed=passed,
            reason="" if passed else _REASONS[against],
            score=float(share),
            detail={"reasons": [sections["reason"] for sections in replies.sections if sections is not None]},
            prompt_tokens=replies.prompt_tokens,
            completion_tokens=replies.completion_tokens,
        )


def quoted_share(evidence: str, page: str) -> float:
    """How much of the evidence stands on the page: 1 less the share of its words that differ in the best place.

    Case, width and punctuation do not count. A quotation with `...` in it is looked for part by part.
    """
    there = tokenise(page).hashes
    parts = [tokens for part in re.split(r"\.{3,}|…+", evidence) if len(tokens := tokenise(part).hashes)]
    words = sum(map(len, parts))
    return 1 - sum(_differences(part, there) for part in parts) / words if words else 0.0


def _differences(pattern: Hashes, text: Hashes) -> int:
    """The least edit distance between the pattern and any stretch of the text (Sellers, 1980)."""
    places = np.arange(len(text) + 1)
    row = np.zeros(len(text) + 1, np.int64)
    for number, token in enumerate(pattern, 1):
        above = row + 1
        row = np.concatenate([[number], np.minimum(above[1:], row[:-1] + (text != token))])
        # Left neighbours plus one, all at once.
        row = np.minimum.accumulate(row - places) + places
    return int(row.min())


def _quotes(item: Item) -> bool:
    return bool(item.evidence and item.snippet)


def _values(item: Item) -> dict[str, object]:
    number = ord(item.answer) - ord("A") if item.choices and len(item.answer) == 1 else -1
    answer = item.choices[number] if 0 <= number < len(item.choices) else item.answer
    return {"snippet": item.snippet, "question": item.question, "answer": answer}
