"""How many tokens a tokenizer makes of texts, and how many characters it has no piece for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from sapwood.backbone.encode import Encoder
from sapwood.backbone.vocabulary.pieces import byte_lengths
from sapwood.progress import track

_BATCH = 256
"""Texts that are encoded at once."""


@dataclass(frozen=True, slots=True)
class Fertility:
    """What a tokenizer makes of some texts."""

    characters: int
    bytes: int
    """In UTF-8."""
    tokens: int
    traced: int
    """Characters of the texts whose tokens could be laid beside their bytes. A tokenizer that changes a text before it
    cuts it, by writing it in lower case for example, leaves no such trace."""
    cut: int
    """Of the traced characters, those that are spread over several tokens: the vocabulary has no piece for them, or
    none that fits there, and they are spelled in bytes or other parts of a character."""

    @property
    def per_character(self) -> float:
        """Tokens per character."""
        return self.tokens / self.characters

    @property
    def per_byte(self) -> float:
        """Tokens per byte of UTF-8."""
        return self.tokens / self.bytes

    @property
    def cut_share(self) -> float | None:
        """The share of characters that are cut; None where no text could be traced."""
        return self.cut / self.traced if self.traced else None


def measure(directory: Path, groups: Mapping[str, Sequence[str]]) -> dict[str, Fertility]:
    """The fertility of a model's tokenizer, as users of the model get it, on each group of texts. No group is empty."""
    encoder = Encoder.load(directory)
    lengths = byte_lengths(orjson.loads(encoder.content))
    found = {}
    with track("Encoding", sum(map(len, groups.values()))) as advance:
        for name, texts in groups.items():
            encoder.verify(texts[:_BATCH])
            totals = np.zeros(5, np.int64)
            for start in range(0, len(texts), _BATCH):
                batch = texts[start : start + _BATCH]
                ids, offsets = encoder.encode_batch(batch)
                for text, (first, last) in zip(batch, pairwise(offsets), strict=True):
                    totals += _count(text, ids[first:last], lengths)
                advance(len(batch), name)
            found[name] = Fertility(*totals.tolist())
    return found


def _count(text: str, ids: npt.NDArray[np.uint32], lengths: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The fields of `Fertility` for one text."""
    content = np.frombuffer(text.encode(), np.uint8)
    ends = np.cumsum(lengths[ids])
    if len(ends) and ends[-1] == len(content) + 1:
        ends -= 1  # for the space that some tokenizers put before a text
    if not len(ends) or ends[-1] != len(content):
        return len(text), len(content), len(ids), 0, 0
    begins = (content & 0xC0) != 0x80  # in UTF-8 all bytes of a character but the first are 10xxxxxx
    inner = ends[:-1]
    cut = np.unique(np.cumsum(begins)[inner[~begins[inner]]])
    return len(text), len(content), len(ids), len(text), len(cut)
