"""What could not be used: every such row with its place, the reason and an excerpt, in `quarantine.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from datatrove.data import Document

from sapwood.corpus.document import Position, excerpt
from sapwood.files import reading
from sapwood.runs.manifest import remake

QUARANTINE = "quarantine.jsonl"


class Reason(StrEnum):
    """Why a row cannot be read as a document. Other blocks have reasons of their own, in words like these."""

    BROKEN_JSON = "broken JSON"
    NOT_AN_OBJECT = "not a JSON object"
    NO_COLUMN = "no text column"
    TWO_COLUMNS = "several text columns"
    NOT_A_STRING = "text is not a string"
    EMPTY = "empty text"
    NOT_UTF8 = "not UTF-8"
    SURROGATE = "lone surrogate"
    TOO_LONG = "text too long"
    OTHER_WIDTH = "not as many fields as the header"
    OPEN_QUOTE = "quote never closed"
    HEADER_AGAIN = "header repeated"
    BROKEN_PAGE = "page cannot be read"
    NO_ENCODING = "page in no known encoding"
    NO_ARTICLE = "page without a text"
    NOT_HTML = "not a web page"
    NOT_FOUND = "page was not found"
    BROKEN_FILE = "broken or truncated file"


def rejected_row(origin: str, reason: str, shown: str, position: Position) -> Document:
    """What stands for a row that is no document, on its way to the quarantine."""
    return Document(text="", id="", metadata={"origin": origin, "position": position, "reason": reason, "shown": shown})


def filter_out(document: Document, reason: str) -> None:
    """Marks a document as not to be used; the first reason stays."""
    document.metadata.setdefault("reason", reason)
    document.metadata.setdefault("shown", excerpt(document.text))


def is_filtered(document: Document) -> bool:
    """Whether a document is on its way to the quarantine."""
    return "reason" in document.metadata


def entry(source: str, document: Document) -> bytes:
    """The line of the quarantine about a document that was filtered."""
    file, _, row = document.metadata["origin"].rpartition("#")
    return orjson.dumps(
        {
            "source": source,
            "file": file,
            "row": int(row),
            "reason": document.metadata["reason"],
            "excerpt": document.metadata["shown"],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def read_quarantine(directory: Path) -> Iterator[dict[str, Any]]:
    """The entries about the prepared source in `directory`: `source`, `file`, `row`, `reason`, `excerpt`."""
    path = directory / QUARANTINE
    with reading(path, remake(directory)), path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
