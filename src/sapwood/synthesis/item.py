"""An item: a question with its answer, and all that is known of how it came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import xxhash


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where an item was written from."""

    id: str
    """The document's id."""
    source: str
    origin: str
    """The file and the row."""
    url: str | None
    start: int
    """Where the snippet begins in the document, in characters."""
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question with its answer. What a format does not have is empty."""

    id: str
    """32 hexadecimal digits: a hash of the question, its choices and the answer."""
    question: str
    answer: str
    """The short answer that is checked: a number, a formula, a phrase, a letter, or the program."""
    reasoning: str = ""
    """How one gets there; the rest of a dialogue."""
    choices: tuple[str, ...] = ()
    """Of multiple choice: the options without their letters, A first."""
    tests: str = ""
    """Of code: Python that calls the solution and fails where it is wrong."""
    evidence: str = ""
    """What the generator quotes from the snippet."""
    discipline: str
    format: str
    language: str
    difficulty: str = ""
    """What was asked for."""
    snippet: str = ""
    """What was shown of the page."""
    page: Page | None = None
    prompt: str = ""
    """Which prompt, as `language/name@version#hash`."""
    model: str = ""
    revision: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Temperature and the like, and the number of the sample."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a record of JSON."""
        return asdict(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Item:
        """Reads what `to_json` gives; other keys beside are passed over."""
        known = {name: record[name] for name in Item.__dataclass_fields__ if name in record}
        page = known.pop("page", None)
        choices = tuple(known.pop("choices", ()))
        return Item(**known, choices=choices, page=None if page is None else Page(**page))


def item_id(question: str, choices: Sequence[str], answer: str) -> str:
    """What an item with this content is called."""
    return xxhash.xxh3_128_hexdigest("\0".join([question, *choices, answer]).encode())
