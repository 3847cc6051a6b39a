"""Asks a model about items, several times about each, and reads what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from sapwood.generation.cache import Completion, Request
from sapwood.generation.client import Failure
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import Sampling
from sapwood.synthesis.prompt import FormError, Prompt, load_prompt
from sapwood.synthesis.stage import Ask

Word = Literal["yes", "no", "unclear"]

_WORDS: dict[str, Word] = {"yes": "yes", "no": "no", "unclear": "unclear", "是": "yes", "否": "no", "不确定": "unclear"}


def word_of(sections: Mapping[str, str] | None) -> Word | None:
    """The word in the section `verdict` of a reply; None where there is none of the words that are asked for."""
    if sections is None:
        return None
    match = re.match(rf"\W*({'|'.join(_WORDS)})(?![A-Za-z])", sections["verdict"].casefold())
    return None if match is None else _WORDS[match[1]]


Thing = TypeVar("Thing")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked once."""

    prompt: Prompt
    request: Request


@dataclass(frozen=True, slots=True)
class Replies:
    """What a model said about one item."""

    sections: tuple[Mapping[str, str] | None, ...] = ()
    """Of each reply, in order; None where it cannot be read."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Asker:
    """Asks one model about items, with the prompts of a stage."""

    def __init__(self, server: ModelServer, sampling: Sampling, own: Path | None) -> None:
        """`own` is a directory of prompts that take the place of those that ship."""
        self.server = server
        self.sampling = sampling
        self.own = own

    def question(self, prompt: str, language: str, values: Mapping[str, Any], sample: int = 0) -> Question:
        """Raises SapwoodError where there is no such prompt in the language, or the values do not fit it."""
        found = _load(prompt, language, self.own)
        return Question(found, found.request(values, self.sampling, sample=sample))

    def get(self, questions: Sequence[Sequence[Question]], ask: Ask) -> list[Replies | Failure]:
        """The replies to all questions about each item; a failure for an item of which one question has no reply."""
        requests = [question.request for about in questions for question in about]
        completions = iter(ask(self.server, requests) if requests else [])
        return [_read(about, [next(completions) for _ in about]) for about in questions]


def _read(questions: Sequence[Question], completions: Sequence[Completion | Failure]) -> Replies | Failure:
    sections: list[Mapping[str, str] | None] = []
    tokens = [0, 0]
    for question, completion in zip(questions, completions, strict=True):
        if isinstance(completion, Failure):
            return completion
        try:
            sections.append(question.prompt.parse(completion))
        except FormError:
            sections.append(None)
        tokens[0] += completion.prompt_tokens
        tokens[1] += completion.completion_tokens
    return Replies(tuple(sections), *tokens)


def of_those(
    things: Sequence[Thing], applies: Callable[[Thing], bool], work: Callable[[Sequence[Thing]], Sequence[Result]]
) -> list[Result | None]:
    """What `work` makes of the things to which it applies, and None for the others."""
    chosen = [number for number, thing in enumerate(things) if applies(thing)]
    found: list[Result | None] = [None] * len(things)
    for number, result in zip(chosen, work([things[number] for number in chosen]), strict=True):
        found[number] = result
    return found


@cache
def _load(name: str, language: str, own: Path | None) -> Prompt:
    return load_prompt(name, language, own)
