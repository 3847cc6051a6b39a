"""Choices: a multiple-choice question is asked with its options in several orders, and the same one must be chosen.

Models favour letters and places (Zheng et al., arXiv 2309.03882): an answer that moves with the order was not known.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sapwood.answers.equal import same_answers
from sapwood.answers.find import chosen_option, letter
from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import OptionPermutation, PassRate
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict
from sapwood.synthesis.verify.replies import Asker, Replies, of_those
from sapwood.synthesis.verify.self_consistency import Tally, count, is_open, vote

Order = tuple[int, ...]
"""The numbers of the options, as they are shown from A on."""


class OptionPermutationStage(Stage):
    """Items whose right option is chosen in enough of the orders pass. It has nothing to say of others than multiple
    choice."""

    name = "option_permutation"
    checks_answers = True

    def __init__(self, settings: OptionPermutation, generator: ModelServer, own: Path | None = None) -> None:
        """`generator` is asked where the settings name no server; `own` are prompts of one's own."""
        self.settings = settings
        self.asker = Asker(settings.server or generator, settings.sampling, own)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        tallies = of_those(items, is_choice, lambda those: choose(those, self.asker, self.settings.permutations, ask))
        return [self._judge(tally) if isinstance(tally, Tally) else tally for tally in tallies]

    def _judge(self, tally: Tally) -> Verdict:
        if tally.share >= self.settings.agreement:
            return tally.verdict()
        answer, share = tally.majority
        other = answer != tally.given and share >= self.settings.agreement
        return tally.verdict("another option is chosen" if other else "the choice changes with the order")


def is_choice(item: Item) -> bool:
    """Whether the item is multiple choice, and its answer one of the letters."""
    return item.answer in [letter(number) for number in range(len(item.choices))]


def choose(items: Sequence[Item], asker: Asker, samples: int, ask: Ask) -> list[Tally | Failure]:
    """Has all items answered in so many orders, and counts, by the letters that the options have in the item."""
    shown = [orders(item, samples) for item in items]
    questions = [
        [
            asker.question(
                "check-choice",
                item.language,
                {
                    "question": item.question,
                    "options": [(letter(place), item.choices[number]) for place, number in enumerate(order)],
                },
                sample,
            )
            for sample, order in enumerate(order_of_item)
        ]
        for item, order_of_item in zip(items, shown, strict=True)
    ]
    replies = asker.get(questions, ask)
    return [
        _tally(item, order_of_item, reply) if isinstance(reply, Replies) else reply
        for item, order_of_item, reply in zip(items, shown, replies, strict=True)
    ]


def orders(item: Item, samples: int) -> list[Order]:
    """So many orders of the options, always the same for an item.

    Each is the one before, moved on by one place, so that the right option is at every letter in turn; after as many as
    there are options they are shuffled anew. Options such as `all of the above` stay where they are, and where one
    names others by their letters, all do.
    """
    rng = random.Random(item.id)
    free = [number for number, option in enumerate(item.choices) if not _NAMES_OTHERS.search(option)]
    if any(map(_NAMES_LETTERS.search, item.choices)):
        free = []
    found = []
    for sample in range(samples):
        if sample % max(1, len(free)) == 0:
            rng.shuffle(shuffled := free.copy())
        order = list(range(len(item.choices)))
        for place, number in zip(free, shuffled, strict=True):
            order[place] = number
        found.append(tuple(order))
        shuffled = shuffled[1:] + shuffled[:1]
    return found


def _tally(item: Item, shown: Sequence[Order], replies: Replies) -> Tally:
    counts: Counter[str] = Counter()
    for order, sections in zip(shown, replies.sections, strict=True):
        options = [item.choices[number] for number in order]
        place = None if sections is None else chosen_option(sections["answer"], options, same_answers)
        if place is not None:
            counts[letter(order[place])] += 1
    return count(item.answer, list(counts.items()), replies)


_NAMES_OTHERS = re.compile(r"\b(?:of the above|of these|above)\b|以上|上述", re.IGNORECASE)
_NAMES_LETTERS = re.compile(r"\b[A-Z] (?:and|or|&) [A-Z]\b|[A-Z]\s*[和与或、]\s*[A-Z]")


class PassRateStage(Stage):
    """Items of which the pass rate lies between two bounds pass. It has nothing to say where neither votes nor choices
    have."""

    name = "pass_rate"

    def __init__(self, settings: PassRate, own: Path | None = None) -> None:
        """`own` are prompts of one's own."""
        self.settings = settings
        self.asker = Asker(settings.server, settings.sampling, own)

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        samples = self.settings.samples
        answered = of_those(items, is_open, lambda those: vote(those, self.asker, samples, ask))
        chosen = of_those(items, is_choice, lambda those: choose(those, self.asker, samples, ask))
        tallies = [one if one is not None else other for one, other in zip(answered, chosen, strict=True)]
        return [self._judge(tally) if isinstance(tally, Tally) else tally for tally in tallies]

    def _judge(self, tally: Tally) -> Verdict:
        lowest, highest = self.settings.between
        rate = float(tally.share)
        return tally.verdict("too hard" if rate < lowest else "too easy" if rate > highest else "")
