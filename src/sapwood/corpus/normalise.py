"""Writes texts alike before anything else looks at them, and repairs what was broken on their way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.quarantine import Reason, filter_out, is_filtered
from sapwood.corpus.script import convert
from sapwood.recipe.data import Normalise, Script

# Carriage returns are left for `_LINE_ENDS`, which must see what stood beside them.
_LINES = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_INVISIBLE = "\u00ad\u200b\u2060\ufeff"
_CONTROLS = "".join(map(chr, [*range(0x09), *range(0x0E, 0x1C), 0x1F, *range(0x7F, 0x85), *range(0x86, 0xA0)]))
_REPLACED = str.maketrans(dict.fromkeys(_CONTROLS + _INVISIBLE, "") | dict.fromkeys(_LINES, "\n"))
_TO_REPLACE = re.compile(f"[{re.escape(_CONTROLS + _INVISIBLE + _LINES)}]")
_LINE_ENDS = re.compile("\r\n?")


def normalise(text: str, *, mojibake: bool = False, script: Script | None = None) -> str:
    r"""The same text in Unicode NFC, with `\n` between lines and without control and invisible characters.

    Tabs stay, and so do joiners and directional marks, which some scripts need, and spaces at the ends of lines, which
    Markdown and diffs mean. `mojibake` repairs lines that were decoded wrongly (ftfy, encodings alone); `script` is
    what Chinese is converted into (OpenCC). Done again, it changes nothing more.

    >>> normalise("cafe\u0301\r\nau\x00 lait\ufeff")
    'café\nau lait'
    """
    if _TO_REPLACE.search(text):
        text = text.translate(_REPLACED)
    if "\r" in text:
        text = _LINE_ENDS.sub("\n", text)
    if mojibake and not text.isascii():
        text = _repaired(text)
    if script is not None:
        text = convert(text, script)
    return unicodedata.normalize("NFC", text)


class NormaliseText(Block):
    """Normalises documents. One of which nothing is left is filtered."""

    def __init__(self, settings: Normalise, language: str | None) -> None:
        """`language` is that of the source; scripts are converted in Chinese ones alone."""
        super().__init__()
        self.mojibake = settings.mojibake
        self.script = settings.script if language == "zh" else None

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data or ():
            if not is_filtered(document):
                document.text = normalise(document.text, mojibake=self.mojibake, script=self.script)
                if not document.text or document.text.isspace():
                    filter_out(document, Reason.EMPTY)
            yield document


def _repaired(text: str) -> str:
    """Line by line: a page is often put together from texts of several fates."""
    import ftfy

    lines = [line if line.isascii() else ftfy.fix_encoding(line) for line in text.split("\n")]
    # A repaired line may hold what was removed before, now spelled rightly.
    return _LINE_ENDS.sub("\n", "\n".join(lines).translate(_REPLACED))
