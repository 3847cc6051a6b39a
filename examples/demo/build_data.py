"""Rebuilds the demonstration texts in `data/` from Debian packages. Only needed to rebuild them: they ship ready.

What happens, in the order of the file:

1. Each package is fetched at a fixed version with `apt-get download`, its SHA-256 is compared with the one
   below, and it is unpacked into a temporary folder with `dpkg-deb`. Nothing is installed.
2. Each HTML page is read, and what is not its text (navigation, tables of contents, footnotes, pictures) is
   taken out. A page longer than its collection allows is parted at its section headings, never elsewhere.
3. What is left becomes plain text: paragraphs with blank lines between them, lists with marks, code as it stands.
4. Short, over-long, repeated and untranslated documents are left out; of a collection that is larger than its
   share, pages are taken in the order of a hash of their path, which spreads them evenly over the source.
5. The documents are written in the order of their origin as zstd-compressed JSON lines, beside the licence texts
   and a file of checksums.

Run on Debian 12 after `apt-get update`, with `pip install beautifulsoup4==4.15.0 orjson zstandard==0.25.0`:

    python examples/demo/build_data.py

The JSON lines come out the same to the byte; the compressed files do too with the zstandard version above. When
a mirror no longer holds one of the versions, add https://snapshot.debian.org/ of 2026-11-01 to the apt sources.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard
from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, Tag

DATA = Path(__file__).resolve().parent / "data"
COMMON_LICENCES = Path("/usr/share/common-licenses")

MINIMUM_CHARACTERS = 300
MINIMUM_HAN_SHARE = 0.30
"""Of the characters that are not white space, in the Chinese collections."""
MAXIMUM_UNTRANSLATED_SHARE = 0.20
"""Of the characters of a document of the Chinese collections, those in paragraphs without any Chinese."""


@dataclass(frozen=True, slots=True)
class Source:
    """Pages of one Debian package that make part of a collection."""

    package: str
    version: str
    sha256: str
    pages: str
    """A glob below the root of the package."""
    licence: str
    """An SPDX expression, after the package's own `/usr/share/doc/*/copyright`."""
    body: str = "body"
    """The CSS selector of the element that holds the page's own text."""
    exclude: str = r"(?!)"
    """A regular expression over the page's file name: contents, indexes, licence texts."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One JSONL file."""

    name: str
    sources: tuple[Source, ...]
    chinese: bool = False
    section_bytes: int = 20_000
    """A page whose text takes more bytes of UTF-8 than this is parted into its sections."""
    maximum_bytes: int = 40_000
    """Documents that no section heading could bring under this are left out."""
    budget_bytes: int = 1_500_000
    """Pages are taken until their documents fill this many bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class Document:
    text: str
    title: str
    origin: str
    licence: str


HANDBOOK = ("debian-handbook", "11.20220922", "")
INSTALLATION_GUIDE = ("installation-guide-amd64", "20230508+deb12u1", "")
