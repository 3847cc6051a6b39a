"""Attempts: which seed is written about in which format, language and difficulty."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import xxhash
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from sapwood.answers.find import letter
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Assembly
from sapwood.recipe.synthesis import Synthesis
from sapwood.synthesis.disciplines import discipline_name
from sapwood.synthesis.item import Item, Page

_ANSWER = {"en": "Answer: ", "zh": "答案："}


def assemble(item: Item, settings: Assembly) -> str:
    """The item as text: question, options, reasoning and answer, and where it is wished the snippet beside them.

    The paper joins problem and solution as plain text (2407.18743); by what, it does not say. Raises SapwoodError where
    the recipe's own template cannot be filled in.
    """
    text = _default(item, settings.joiner) if settings.template is None else _own(item, settings)
    if settings.page != "none" and item.snippet:
        parts = [item.snippet, text] if settings.page == "before" else [text, item.snippet]
        text = settings.joiner.join(parts)
    return text


def _default(item: Item, joiner: str) -> str:
    parts = ["\n".join([item.question, *_options(item)]), item.reasoning]
    if item.tests:
        parts.append(f"```python\n{item.answer}\n```")
    elif not item.reasoning.rstrip("。.").endswith(item.answer.rstrip("。.")):
        parts.append(_ANSWER.get(item.language, _ANSWER["en"]) + item.answer)
    return joiner.join(part for part in parts if part)


def _own(item: Item, settings: Assembly) -> str:
    values = {
        **{name: value for name, value in item.to_json().items() if name != "page"},
        "choices": _options(item),
        "joiner": settings.joiner,
    }
    try:
        return _environment().from_string(settings.template or "").render(values)
    except TemplateError as error:
        raise SapwoodError(f"The template of `assembly` cannot be filled in: {error}") from None


def _options(item: Item) -> list[str]:
    return [f"{letter(number)}. {choice}" for number, choice in enumerate(item.choices)]


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(undefined=StrictUndefined)


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
