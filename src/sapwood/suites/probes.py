"""Probes of in-context learning: mappings made up on the spot, of which a model can only know what it is shown.

Perplexity can stay as it was while this ability is lost (arXiv 2506.00288).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from sapwood.recipe.task import Generator

LABELS = ("red", "blue", "green", "white")
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
DIGITS = "0123456789"
GROUP = 3
"""Digits in a line of `digit-code`."""


def make_rows(generator: Generator) -> Iterator[dict[str, Any]]:
    """The items of a generator, the same for the same settings. An item does not depend on how many there are."""
    make = _PROGRAMS[generator.name]
    for row in range(generator.items):
        rng = random.Random(f"{generator.name}/{generator.seed}/{row}")
        yield {**make(rng, generator.examples), "file": generator.name, "row": row}


def _word_labels(rng: random.Random, examples: int) -> dict[str, Any]:
    """Invented words with one of four labels each; every word is shown twice, and one of them is asked for."""
    words = _invented(rng, (examples + 1) // 2)
    # As many words with each label as possible: the commonest label is no better a guess than the others.
    labels = [LABELS[number % len(LABELS)] for number in range(len(words))]
    rng.shuffle(labels)
    label_of = dict(zip(words, labels, strict=True))
    shown = (words * 2)[:examples]
    rng.shuffle(shown)
    asked = rng.choice(words)
    lines = [f"{word} -> {label_of[word]}" for word in shown]
    return {"question": "\n".join([*lines, f"{asked} ->"]), "options": list(LABELS), "answer": label_of[asked]}


def _digit_code(rng: random.Random, examples: int) -> dict[str, Any]:
    """A secret code of digits, shown by groups of three; a new group is to be put into the code, all of whose digits
    were shown."""
    code = dict(zip(DIGITS, rng.sample(DIGITS, len(DIGITS)), strict=True))
    groups = ["".join(rng.sample(DIGITS, GROUP)) for _ in range(examples)]
    seen = sorted(set("".join(groups)))
    asked = "".join(rng.sample(seen, GROUP))
    while asked in groups and len(seen) > GROUP:
        asked = "".join(rng.sample(seen, GROUP))
    lines = [f"{_spaced(group)} -> {_spaced(_coded(group, code))}" for group in groups]
    return {"question": "\n".join([*lines, f"{_spaced(asked)} ->"]), "answer": _spaced(_coded(asked, code))}


_PROGRAMS: dict[str, Callable[[random.Random, int], dict[str, Any]]] = {
    "word-labels": _word_labels,
    "digit-code": _digit_code,
}


def _invented(rng: random.Random, count: int) -> list[str]:
    """Different words of three syllables."""
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choices(SYLLABLES, k=3))] = None
    return list(words)


def _coded(group: str, code: dict[str, str]) -> str:
    return "".join(code[digit] for digit in group)


def _spaced(group: str) -> str:
    return " ".join(group)
