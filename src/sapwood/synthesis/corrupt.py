"""Items made wrong on purpose, for studies of what wrong items do to a model.

The question stays as it is; numbers, nouns and adjectives of the answer and the reasoning are replaced, each
by the same wherever it stands. The paper did this to learn how much wrong data a model bears (2407.18743, surrogates).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import xxhash

from sapwood.answers.find import letter
from sapwood.recipe.data import Corruption
from sapwood.synthesis.item import Item
from sapwood.synthesis.substitute import Adjectives, Choice, Nouns, Numbers, Way, is_known


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was replaced in an item."""

    way: str
    """`numbers`, `nouns`, `adjectives`, or `choice`: the letter of the right option."""
    before: str
    after: str
    in_answer: int
    """In how many places of the answer."""
    in_reasoning: int


Corrupted = tuple[Item, list[Change] | None]
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
        Change(way, before, after, *(_count(mine[way], text, before) for text in texts.values()))
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
