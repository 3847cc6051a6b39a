"""Attempts: which seed is written about in which format, language and difficulty."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import xxhash

from sapwood.recipe.synthesis import Synthesis
from sapwood.synthesis.disciplines import discipline_name
from sapwood.synthesis.item import Page

_ROOTS = {"format": (1 + math.sqrt(5)) / 2, "difficulty": math.sqrt(2), "language": math.sqrt(3)}
"""Irrational and independent of each other. Their continued fractions are short-termed, so that multiples of each,
without whole parts, fill the line from 0 to 1 as evenly as can be."""
_CIRCLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Seed:
    """What an item is written from."""

    discipline: str
    text: str
    """What is shown to the generator."""
    language: str
    """What the text is written in."""
    page: Page | None = None
    """Where it stands, if it comes from a page."""
    examples: tuple[dict[str, str], ...] = ()
    """Problems that are shown, where it is no page."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One item that is asked for."""

    number: int
    """Counted from 0."""
    seed: Seed
    format: str
    language: str
    difficulty: str

    def values(self) -> dict[str, Any]:
        """What the prompt's templates are filled in with."""
        return {
            "discipline": discipline_name(self.seed.discipline, self.language),
            "snippet": self.seed.text,
            "difficulty": self.difficulty,
            "examples": self.seed.examples,
        }


def plan_attempts(seeds: Sequence[Seed], job: Synthesis) -> list[Attempt]:
    """One attempt for each seed, in their order.

    Formats, languages and difficulties have the job's shares, independently of each other and in every stretch of
    attempts. What attempt i is does not depend on how many there are.
    """
    formats = _Circle("format", job.formats, job.seed)
    languages = _Circle("language", job.languages, job.seed) if job.languages else None
    difficulties = _Circle("difficulty", job.difficulty, job.seed)
    return [
        Attempt(
            number=number,
            seed=seed,
            format=formats.at(number),
            language=seed.language if languages is None else languages.at(number),
            difficulty=difficulties.at(number),
        )
        for number, seed in enumerate(seeds)
    ]


class _Circle:
    """A circle cut up by shares. On it lie points, each an irrational part of the circle after the one before.

    That is a Kronecker sequence: however many points there are, from wherever on, each part has its share of them but
    for a few.
    """

    def __init__(self, field: str, shares: Mapping[str, Fraction], seed: int) -> None:
        self.names = list(shares)
        whole = sum(shares.values())
        self.ends = [math.ceil(end / whole * _CIRCLE) for end in itertools.accumulate(shares.values())]
        self.start = xxhash.xxh3_64_intdigest(f"{seed}\0{field}".encode())
        self.step = int(_ROOTS[field] % 1 * _CIRCLE)

    def at(self, number: int) -> str:
        """The name of the part in which a point lies."""
        return self.names[bisect.bisect_right(self.ends, (self.start + number * self.step) % _CIRCLE)]
