"""How much of a text stands in another one, word for word."""

from __future__ import annotations

import numpy as np

from sapwood.corpus.ngrams import ngram_hashes, tokenise


def overlap(text: str, other: str, ngram: int) -> float:
    """The share of a text's tokens that stand in runs of `ngram` tokens which `other` has too.

    Tokens are words or single Han characters, without case, punctuation and white space. A text of fewer tokens counts
    as one run; one without any has no overlap.
    """
    tokens = tokenise(text).hashes
    ngram = min(ngram, len(tokens))
    if not ngram:
        return 0.0
    common = np.isin(ngram_hashes(tokens, ngram), ngram_hashes(tokenise(other).hashes, ngram))
    covered = np.zeros(len(tokens), bool)
    for place in range(ngram):
        covered[place : len(tokens) - ngram + 1 + place] |= common
    return float(covered.mean())
