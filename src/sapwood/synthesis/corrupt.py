"""Items made wrong on purpose, for studies of what wrong items do to a model.

The question stays as it is; numbers, nouns and adjectives of the answer and the reasoning are replaced, each
by the same wherever it stands. The paper did this to learn how much wrong data a model bears (2407.18743, surrogates).
"""

from __future__ import annotations

import itertools
import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import xxhash
from ruamel.yaml import YAML

from sapwood.answers.find import letter
from sapwood.recipe.data import Corruption
from sapwood.synthesis.item import Item

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


@dataclass(frozen=True, slots=True)
class Alteration:
    """Something that was replaced in an item."""

    way: str
    """`numbers`, `nouns`, `adjectives`, or `choice`: the letter of the right option."""
    before: str
    after: str
    in_answer: int
    """In how many places of the answer."""
    in_reasoning: int


Corrupted = tuple[Item, list[Alteration] | None]
"""An item, and what was changed in it. None where it was to be changed, and there was nothing to change."""


def corrupt(items: Sequence[Item], settings: Corruption, seed: int) -> list[Corrupted]:
    """All items in their order, each with what was changed in it: in most, nothing.

    The share is that of all items, exactly but for rounding. Which are changed, and how, is decided by the seed and
    their ids: a larger share changes the same ones in the same way, and more. One in which nothing can be changed makes
    room for the next; where those run out, fewer are changed than were asked for. Ids stay, so that every item can be
    compared with what it was.
    """
    wanted = int(min(settings.share, Fraction(1)) * len(items) + Fraction(1, 2))
    ways = {language: _ways(language, items) for language in {item.language for item in items}}
    found: dict[int, Corrupted] = {}
    changed = 0
    for number in sorted(range(len(items)), key=lambda number: (_hash(seed, items[number]), number)):
        if changed == wanted:
            break
        item = items[number]
        found[number] = _corrupted(item, settings, ways[item.language], random.Random(f"{seed}/{item.id}"))
        changed += found[number][1] is not None
    return [found.get(number, (item, [])) for number, item in enumerate(items)]


def _hash(seed: int, item: Item) -> int:
    return xxhash.xxh3_64_intdigest(f"{seed}/{item.id}".encode())


def _ways(language: str, items: Sequence[Item]) -> Mapping[str, Way]:
    ways: dict[str, Way] = {"numbers": Numbers()}
    if is_known(language):
        texts = ("\n".join([item.question, item.reasoning, item.answer]) for item in items if item.language == language)
        ways |= {"nouns": Nouns(language, texts), "adjectives": Adjectives(language)}
    return ways


def _corrupted(item: Item, settings: Corruption, ways: Mapping[str, Way], rng: random.Random) -> Corrupted:
    # In a program other words are other names, which makes nothing wrong.
    names: list[str] = [name for name in settings.ways if name in ways and (name == "numbers" or not item.tests)]
    mine: dict[str, Way] = {name: ways[name] for name in names}
    if item.choices:
        mine["choice"] = Choice(item.answer, [letter(number) for number in range(len(item.choices))])
    texts = {"answer": item.answer, "reasoning": item.reasoning}
    others = _choose(mine, texts, settings.changes, rng)
    written = {name: _rewrite(text, mine, others) for name, text in texts.items()}
    changes = [
        Alteration(way, before, after, *(_count(mine[way], text, before) for text in texts.values()))
        for (way, before), after in others.items()
    ]
    return (
        (replace(item, answer=written["answer"], reasoning=written["reasoning"]), changes) if changes else (item, None)
    )


def _choose(
    ways: Mapping[str, Way], texts: Mapping[str, str], most: int, rng: random.Random
) -> dict[tuple[str, str], str]:
    """What is replaced by what: one thing of each way in turn, but first what stands in the answer."""
    columns = []
    for name, way in ways.items():
        found = sorted({place.name for text in texts.values() for place in way.find(text)})
        rng.shuffle(found)
        columns.append([(name, thing) for thing in found])
    rng.shuffle(columns)
    turns = [entry for row in itertools.zip_longest(*columns) for entry in row if entry is not None]
    turns.sort(key=lambda entry: not _count(ways[entry[0]], texts["answer"], entry[1]))
    others: dict[tuple[str, str], str] = {}
    for name, thing in turns:
        if len(others) < most and (other := ways[name].other(thing, rng)) is not None:
            others[name, thing] = other
    return others


def _count(way: Way, text: str, name: str) -> int:
    return sum(place.name == name for place in way.find(text))


def _rewrite(text: str, ways: Mapping[str, Way], others: Mapping[tuple[str, str], str]) -> str:
    """The text with everything replaced at once, so that two things can change places."""
    places = sorted(
        (place, name) for name, way in ways.items() for place in way.find(text) if (name, place.name) in others
    )
    pieces, reached = [], 0
    for place, name in places:
        if place.start >= reached:
            found = text[place.start : place.end]
            pieces += [text[reached : place.start], ways[name].written(others[name, place.name], found)]
            reached = place.end
    return "".join([*pieces, text[reached:]])
