"""Ways of making a text wrong: what in it can be replaced, and by what. In English and Chinese, without a tagger.

Nouns and adjectives are those of a list that ships (`words/`). Other languages have numbers alone.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

FREQUENT = 100
"""Nouns are replaced by those that stand in the most texts: so many."""

_WORDS = Path(__file__).with_name("words")


class Place(NamedTuple):
    """Where something stands that can be replaced."""

    start: int
    end: int
    name: str
    """What stands there, in its plain form: the same in all places that are replaced in the same way."""


class Way(ABC):
    """One way of making a text wrong."""

    @abstractmethod
    def find(self, text: str) -> Iterator[Place]:
        """All places, in order."""

    @abstractmethod
    def other(self, name: str, rng: random.Random) -> str | None:
        """What takes its place, never the same; None where there is nothing."""

    def written(self, other: str, found: str) -> str:
        """The other one in the form of what it replaces."""
        return other


class Numbers(Way):
    """Numbers become others with as many digits before and after the point. The labels of steps and lists, digits in
    names, and the 10 of powers of ten stay."""

    def find(self, text: str) -> Iterator[Place]:
        for match in _NUMBER.finditer(text):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if not _LABEL_BEFORE.search(line) and not (
                not line.strip(" (-*#>") and _LABEL_BEHIND.match(text, match.end())
            ):
                yield Place(match.start(), match.end(), match[0])

    def other(self, name: str, rng: random.Random) -> str | None:
        digits = [place for place, character in enumerate(name) if character.isdigit()]
        significant = [place for place in digits if name[place] != "0"]
        # Zeros at both ends say how large a number is and how exact: they stay.
        first, last = (significant[0], significant[-1]) if significant else (digits[-1], digits[-1])
        while True:
            other = list(name)
            for place in digits:
                if first <= place <= last:
                    other[place] = str(rng.randint(1 if place in (first, last) else 0, 9))
            if "".join(other) != name:
                return "".join(other)


class Nouns(Way):
    """Nouns become others that are frequent in the texts."""

    def __init__(self, language: str, texts: Iterable[str]) -> None:
        """`texts` are those in which the other nouns must stand."""
        self._forms = {form: noun for noun in _lists(language)["nouns"].split() for form in _forms(noun, language)}
        self._pattern = _any_of(self._forms, language)
        counts = Counter(noun for text in texts for noun in {place.name for place in self.find(text)})
        # The order must not depend on that of a set.
        self._frequent = sorted(counts, key=lambda noun: (-counts[noun], noun))[:FREQUENT]

    def find(self, text: str) -> Iterator[Place]:
        for match in self._pattern.finditer(text):
            yield Place(match.start(), match.end(), self._forms[match[0].lower()])

    def other(self, name: str, rng: random.Random) -> str | None:
        others = [noun for noun in self._frequent if noun != name]
        return rng.choice(others) if others else None

    def written(self, other: str, found: str) -> str:
        plural = found.isascii() and self._forms[found.lower()] != found.lower()
        return _as_capital((_plural(other) or other) if plural else other, found)


class Adjectives(Way):
    """Adjectives become their opposites."""

    def __init__(self, language: str) -> None:
        pairs = [pair.split("/") for pair in _lists(language)["antonyms"].split()]
        self._opposites = {word: other for pair in pairs for word, other in (pair, pair[::-1])}
        self._pattern = _any_of(self._opposites, language)

    def find(self, text: str) -> Iterator[Place]:
        for match in self._pattern.finditer(text):
            yield Place(match.start(), match.end(), match[0].lower())

    def other(self, name: str, rng: random.Random) -> str | None:
        return self._opposites[name]

    def written(self, other: str, found: str) -> str:
        return _as_capital(other, found)


class Choice(Way):
    """The letter of the right option becomes another one; in the text, where it is named as option or as answer."""

    def __init__(self, right: str, letters: Iterable[str]) -> None:
        self._right = right
        self._others = [letter for letter in letters if letter != right]
        self._pattern = re.compile(_NAMED_LETTER.format(re.escape(right)), re.IGNORECASE)

    def find(self, text: str) -> Iterator[Place]:
        if text.strip() == self._right:
            yield Place(text.index(self._right), text.index(self._right) + 1, self._right)
            return
        for match in self._pattern.finditer(text):
            if match["letter"] == self._right:
                yield Place(match.start("letter"), match.end("letter"), self._right)

    def other(self, name: str, rng: random.Random) -> str | None:
        return rng.choice(self._others) if self._others else None


def is_known(language: str) -> bool:
    """Whether there is a list of words in the language."""
    return (_WORDS / f"{language}.yaml").is_file()


@cache
def _lists(language: str) -> Mapping[str, str]:
    lists: Mapping[str, str] = YAML(typ="safe").load((_WORDS / f"{language}.yaml").read_text(encoding="utf-8"))
    return lists


def _forms(noun: str, language: str) -> Iterator[str]:
    yield noun
    if language == "en" and (plural := _plural(noun)):
        yield plural


def _plural(noun: str) -> str | None:
    """The regular plural of an English noun; None where it has another."""
    if noun.endswith(("um", "us", "is", "ix", "ex", "ion ", "a", "series", "species")):
        return None
    if re.search("[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _as_capital(word: str, found: str) -> str:
    return word[0].upper() + word[1:] if found[0].isupper() else word


def _any_of(words: Iterable[str], language: str) -> re.Pattern[str]:
    alternatives = "|".join(sorted(map(re.escape, words), key=lambda word: (-len(word), word)))
    # Chinese has no spaces: the longest word that fits counts.
    return re.compile(alternatives if language == "zh" else rf"(?<![\w\\-])(?:{alternatives})(?![\w-])", re.IGNORECASE)


_NUMBER = re.compile(r"(?<![A-Za-z_\\.\d])(?!10\s*\^)\d+(?:,\d{3})*(?:\.\d+)?(?!\d|\.\d|(?:st|nd|rd|th)\b)", re.ASCII)
_LABEL_BEFORE = re.compile(
    r"(?:step|case|figure|table|eq\.?|equation|part|步骤|情况|图|表|式|第)\s*\(?$", re.IGNORECASE
)
_LABEL_BEHIND = re.compile(r"[.)、:：](?!\d)")
_NAMED_LETTER = (
    r"(?:\b(?:option|choice|answer)(?:\s+is)?\s*:?\s*\(?|(?:选项?|答案|故|应)[选为是:：]*\s*\(?|\()"
    r"(?P<letter>{})(?![A-Za-z])"
)
