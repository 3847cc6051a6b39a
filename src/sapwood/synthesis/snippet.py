"""Snippets: stretches of whole sentences of a page, in the form in which a generator may see them."""

from __future__ import annotations

import re

import xxhash

from sapwood.recipe.synthesis import Snippet
from sapwood.synthesis.sentences import sentences

Span = tuple[int, int]
"""Where something begins and ends, in characters."""

# Servers take these for what surrounds a passage or a message, wherever they stand.
_MARKS = re.compile(
    r"<(?=/?passage>|[|｜]|/?s>|/?think>|/?END>|/?(?:start|end)_of_turn>|</?SYS>)|\[(?=/?INST\]|/?END\])", re.IGNORECASE
)
_HARMLESS = {"<": "‹", "[": "［"}


def cut(text: str, page: str, settings: Snippet, seed: int) -> list[Span]:
    """Up to `per_page` stretches of the text of the page with this id, none of which overlap.

    Each has as many sentences as the greatest length allows, and at least the least length. With `start: anywhere` the
    sentence it starts with is chosen by a hash of page and seed, among all that can start one.
    """
    found: list[Span] = []
    spans = sentences(text)
    runs = _runs(spans, *settings.characters)
    if settings.start == "beginning" and runs and runs[0][0] > spans[0][0]:
        return []
    while runs and len(found) < settings.per_page:
        place = 0
        if settings.start == "anywhere":
            place = xxhash.xxh3_64_intdigest(f"{seed}\0{page}\0{len(found)}".encode()) % len(runs)
        start, end = runs[place]
        found.append((start, end))
        runs = [run for run in runs if run[1] <= start or run[0] >= end]
    return found


def harmless(text: str) -> str:
    """The text without what would end the passage in a prompt, or a message; of the same length."""
    return _MARKS.sub(lambda mark: _HARMLESS[mark[0]], text)


def _runs(spans: list[Span], least: int, most: int) -> list[Span]:
    """From each sentence on as many as fit, where that is enough."""
    runs: list[Span] = []
    last = 0
    for number, (start, _) in enumerate(spans):
        last = max(last, number)
        while last < len(spans) and spans[last][1] - start <= most:
            last += 1
        if last > number and spans[last - 1][1] - start >= least:
            runs.append((start, spans[last - 1][1]))
    return runs
