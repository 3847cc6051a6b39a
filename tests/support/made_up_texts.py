"""Texts of made-up words and of random characters, and how alike two of them are."""

from __future__ import annotations

import random

from sapwood.corpus.duplicates import shingle_hashes

CHANCE = random.Random(0)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=CHANCE.randint(2, 9))) for _ in range(3000)]
HAN = [chr(CHANCE.randrange(0x4E00, 0x9FA5)) for _ in range(2000)]


def english(words: int = 300) -> str:
    return " ".join(CHANCE.choices(WORDS, k=words))


def chinese(characters: int = 300) -> str:
    return "".join(CHANCE.choices(HAN, k=characters))


def edited(text: str, count: int) -> str:
    """The text with so many words, or characters, replaced."""
    joiner = " " if " " in text else ""
    parts = text.split(" ") if joiner else list(text)
    for place in CHANCE.sample(range(len(parts)), count):
        parts[place] = CHANCE.choice(WORDS if joiner else HAN)
    return joiner.join(parts)


def jaccard(one: str, two: str) -> float:
    a, b = (set(shingle_hashes(text).tolist()) for text in (one, two))
    return len(a & b) / len(a | b)
