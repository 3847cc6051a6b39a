"""Plain text, Markdown and HTML: one file is one document."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from importlib.util import find_spec
from typing import Any, BinaryIO

from sapwood.corpus.block import Reason
from sapwood.corpus.formats.content import ContentStream, read_whole
from sapwood.corpus.formats.encoding import BYTE_ORDER_MARKS, DECLARED, Certainty, decode_page
from sapwood.corpus.formats.row import TEXT_BYTES, BrokenFileError, Rejected, Row, address, examine, shown_bytes
from sapwood.corpus.formats.science import LETTERED, write_out
from sapwood.errors import SapwoodError

PAGE_BYTES = 8 * 2**20
"""The longest web page that is looked at: what is larger is data, and takes minutes to take apart."""
EXTRACTION = 2
"""Counts the changes after which the texts of web pages are no longer what they were before."""

_DENSITY = 5
"""Characters of an English text for one of its Chinese translation, at most (3.5 to 5 in short news)."""
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def text_rows(file: BinaryIO, name: str, start: int) -> Iterator[Row]:
    """The one row of a text file, unless `start` lies behind it. UTF-8, or UTF-16 or UTF-32 with a byte order mark."""
    if start == 0:
        content, read = read_whole(file, name, TEXT_BYTES)
        yield Row(0, _decoded(content), read)


def html_rows(file: BinaryIO, name: str, start: int) -> Iterator[Row]:
    """The one row of a web page, unless `start` lies behind it: what an article says, without what surrounds it."""
    if start == 0:
        content, read = read_whole(file, name, PAGE_BYTES)
        text, certainty = extract_text(content)
        yield Row(0, text, read, encoding=certainty)


def extract_text(page: bytes, content_type: str | None = None) -> tuple[str | Rejected, Certainty]:
    """The main text of a web page (trafilatura), and how its encoding is known.

    `content_type` is the HTTP header of that name.
    """
    from trafilatura import extract, load_html

    if len(page) > PAGE_BYTES:
        return Rejected(Reason.TOO_LONG, shown_bytes(page)), DECLARED
    if not page.strip():
        return Rejected(Reason.EMPTY, ""), DECLARED
    try:
        decoded = decode_page(page, content_type)
        if decoded is None:
            return Rejected(Reason.NO_ENCODING, shown_bytes(page)), DECLARED
        tree = load_html(decoded.text.replace(LETTERED, ""))
        if tree is None:
            return Rejected(Reason.NO_ARTICLE, shown_bytes(page)), decoded.certainty
        write_out(tree)
        text = extract(tree, include_comments=False, include_tables=True, config=_config(_is_dense(tree)))
        text = text and text.replace(f"- {LETTERED}", "").replace(LETTERED, "")
    except Exception as error:  # whatever a strange page does to the libraries below must not end a run
        return Rejected(Reason.BROKEN_PAGE, f"{type(error).__name__}: {error}"[:200]), DECLARED
    return examine(text) if text else Rejected(Reason.NO_ARTICLE, shown_bytes(page)), decoded.certainty


def _is_dense(tree: Any) -> bool:
    text = "".join(tree.itertext())
    return len(_DENSE.findall(text)) > 0.2 * len(text.replace(" ", ""))


@cache
def _config(dense: bool) -> ConfigParser:
    """Settings of the extraction. Its lengths are in characters, of which Chinese and Japanese need fewer."""
    from trafilatura.settings import use_config

    config: ConfigParser = use_config()
    if dense:
        least = config.getint("DEFAULT", "MIN_EXTRACTED_SIZE")
        config.set("DEFAULT", "MIN_EXTRACTED_SIZE", str(least // _DENSITY))
    return config


def require_extraction() -> None:
    """Raises SapwoodError where the libraries for web pages are not installed."""
    if not all(find_spec(name) for name in ("trafilatura", "warcio", "lxml_html_clean", "charset_normalizer")):
        raise SapwoodError("Reading HTML and WARC needs trafilatura and warcio: pip install 'sapwood[web]'")


def _decoded(content: bytes) -> str | Rejected:
    encoding = next((encoding for mark, encoding in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        return examine(content.decode(encoding))
    except UnicodeDecodeError:
        return Rejected(Reason.NOT_UTF8, shown_bytes(content))


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
