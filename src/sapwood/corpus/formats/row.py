"""A row of a file, and why it may be none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sapwood.corpus.block import Reason, excerpt
from sapwood.corpus.formats.encoding import DECLARED, Certainty

TEXT_BYTES = 64 * 2**20
"""The longest text that is taken, in UTF-8."""


class Fields(NamedTuple):
    """Which columns, or JSON keys, are read; `a.b` is `b` inside `a` where there is no `a.b`."""

    text: str = "text"
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row gives no text, and what to show of it."""

    reason: Reason
    shown: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file."""

    number: int
    """Which row, counted from 0 in the whole file; in JSONL, the line."""
    text: str | Rejected
    """What it says."""
    bytes: int
    """Bytes of the file, or of the part of it, that were read up to here."""
    url: str | None = None
    """The address it was found at."""
    encoding: Certainty = DECLARED
    """Of a web page, how its encoding is known."""


class BrokenFileError(Exception):
    """The file ends too early, or its inner form is damaged, after the last row that was yielded."""


def pick(row: Mapping[str, Any], path: str) -> object:
    """What stands in an object under a name, or under a path of names with dots. Raises KeyError where nothing does.

    >>> pick({"content": {"text": "water"}}, "content.text")
    'water'
    """
    if path in row:
        return row[path]
    outer, _, inner = path.partition(".")
    inside = row[outer]
    if not inner or not isinstance(inside, Mapping):
        raise KeyError(path)
    return pick(inside, inner)


def paths(row: Mapping[str, Any]) -> Iterator[str]:
    """The names in an object, as `pick` takes them."""
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from (f"{name}.{inner}" for inner in paths(value))
        else:
            yield name


def examine(value: object) -> str | Rejected:
    """The text, if it is one that can be used."""
    if not isinstance(value, str):
        return Rejected(Reason.NOT_A_STRING, "null" if value is None else excerpt(f"{type(value).__name__}: {value!r}"))
    if not value or value.isspace():
        return Rejected(Reason.EMPTY, "")
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        return Rejected(Reason.SURROGATE, excerpt(value))
    return value if length <= TEXT_BYTES else Rejected(Reason.TOO_LONG, excerpt(value))


def address(value: object) -> str | None:
    """An address, if it is a text that can be stored."""
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-8", "replace").decode()


def shown_bytes(content: bytes) -> str:
    """The beginning of bytes that may be no text."""
    return excerpt(content[:800].decode("utf-8", "backslashreplace"))


def shown_columns(names: Iterable[str]) -> str:
    """Which columns there are instead of the one that was asked for."""
    return excerpt("columns: " + ", ".join(names))
