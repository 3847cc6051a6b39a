"""Packed sequences of made-up documents."""

from __future__ import annotations

import numpy as np

from sapwood.mixture.stream import Sequence
from sapwood.tokens.sequence import Span


def packed(lengths: list[int], seed: int = 0) -> Sequence:
    """A sequence of documents with these lengths."""
    tokens = np.random.default_rng(seed).integers(0, 300, size=sum(lengths))
    offsets = np.cumsum([0, *lengths[:-1]]).tolist()
    spans = tuple(Span(n, 0, length, offset) for n, (length, offset) in enumerate(zip(lengths, offsets, strict=True)))
    return Sequence(0, "d", 0, tokens, spans)
