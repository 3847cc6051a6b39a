"""WARC: one document for every web page in a crawl's archive."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from sapwood.corpus.formats.content import ContentStream
from sapwood.corpus.formats.encoding import DECLARED, Certainty
from sapwood.corpus.formats.page import PAGE_BYTES, extract_text
from sapwood.corpus.formats.row import BrokenFileError, Rejected, Row, address
from sapwood.corpus.quarantine import Reason

_BUFFER_BYTES = 1 << 20
_PAGES = ("text/html", "application/xhtml+xml")


def warc_rows(file: BinaryIO, name: str, start: int) -> Iterator[Row]:
    """The responses in an archive from number `start` on. What is no page that was found is a rejected row."""
    content = ContentStream(file, name)
    return content.whole(_rows(content, start))


def _rows(content: ContentStream, start: int) -> Iterator[Row]:
    from warcio.archiveiterator import WARCIterator

    number = 0
    try:
        for record in WARCIterator(io.BufferedReader(content, _BUFFER_BYTES)):
            if record.rec_type == "response":
                if number >= start:
                    url = address(record.rec_headers.get_header("WARC-Target-URI"))
                    text, certainty = _text(record)
                    yield Row(number, text, content.read_bytes, url, certainty)
                number += 1
    except Exception as error:  # warcio raises many kinds of errors for what is no archive
        raise BrokenFileError(f"{type(error).__name__}: {error}") from None


def _text(record: Any) -> tuple[str | Rejected, Certainty]:
    http = record.http_headers
    status = http.get_statuscode() if http is not None else "unknown"
    if status != "200":
        return Rejected(Reason.NOT_FOUND, f"status {status}"), DECLARED
    content_type = http.get_header("Content-Type") or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _PAGES:
        return Rejected(Reason.NOT_HTML, kind), DECLARED
    return extract_text(record.content_stream().read(PAGE_BYTES + 1), content_type)
