"""Items made wrong on purpose, for studies of what wrong items do to a model.

The question stays as it is; numbers, nouns and adjectives of the answer and the reasoning are replaced, each the same way
wherever it stands. The paper did this to learn how much wrong data a model bears (2407.18743, surrogates).
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import xxhash
from ruamel.yaml import YAML

from sapwood.recipe.data import Corruption
from sapwood.synthesis.item import Item, letter

FREQUENT = 100
"""Nouns are replaced by those that stand in the most items: so many of a language."""

_WORDS = Path(__file__).with_name("words")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was replaced in an item."""

    way: str
    """`numbers`, `nouns`, `adjectives`, or `choice`, the letter of the right option."""
    before: str
    after: str
    in_answer: int
    """In how many places of the answer."""
    in_reasoning: int


def corrupt(items: Sequence[Item], settings: Corruption, seed: int) -> list[tuple[Item, list[Change]]]:
    """All items in their order, each with what was changed in it: nothing in most.

    The share is that of all items, exactly but for rounding. Which items are changed, and how, is decided by the seed
    and their ids: a larger share changes the same items in the same way, and more. An item in which nothing can be
    changed makes room for the next; where those run out, fewer are changed than were asked for. Ids stay, so that an
    item can be compared with what it was.
    """
    wanted = int(min(settings.share, 1) * len(items) + settings.share.__class__(1, 2))
    by_chance = sorted(range(len(items)), key=lambda number: (_hash(seed, items[number]), number))
    lexicons = {language: _Lexicon(language, items) for language in {item.language for item in items}}
    changed: dict[int, tuple[Item, list[Change]]] = {}
    for number in by_chance:
        if len(changed) == wanted:
            break
        item = items[number]
        made = _corrupted(item, settings, lexicons[item.language], random.Random(f"{seed}/{item.id}"))
        if made[1]:
            changed[number] = made
    return [changed.get(number, (item, [])) for number, item in enumerate(items)]


def _hash(seed: int, item: Item) -> int:
    return xxhash.xxh3_64_intdigest(f"{seed}/{item.id}".encode())
