"""What the corpus steps say of the documents of a token store: a column, in the store's order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sapwood.corpus.store import PERPLEXITY, STEPS, SourceStore
from sapwood.errors import SapwoodError, closest
from sapwood.tokens.store import TokenStore

SYNONYMS = {"perplexity": (PERPLEXITY, "nll")}
"""Scores that stand in a column of another name: the perplexity is the exponential of the mean negative log-likelihood,
which gives the same order."""


def read_column(corpus: SourceStore, tokens: TokenStore, step: str, column: str) -> pa.ChunkedArray:
    """A column of a step about the documents of `tokens`, `[documents]`.

    Raises SapwoodError where the step was not finished.
    """
    corpus.manifest(step)
    parts = []
    for shard, rows in tokens.rows():
        whole = corpus.column(shard, step, column)
        parts.append(whole.take(pa.array(rows)).combine_chunks())
    return pa.chunked_array(parts) if parts else pa.chunked_array([], pa.null())


def read_scores(corpus: SourceStore, tokens: TokenStore, score: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A score of the documents of `tokens`, `[documents]`; NaN where a document has none.

    Raises SapwoodError where no step of the source has such a score.
    """
    step, column = find_score(corpus, score)
    values = read_column(corpus, tokens, step, column).cast(pa.float64())
    return np.asarray(values.to_numpy(), np.float64)


def find_score(corpus: SourceStore, score: str) -> tuple[str, str]:
    """The step and the column of a score, which is called by its column's name.

    Raises SapwoodError, which lists the scores there are, where no finished step has a column of numbers of that name.
    """
    there: dict[str, tuple[str, str]] = {}
    for step in STEPS:
        for shard in corpus.shards()[:1] if corpus.has(step) else ():
            for field in corpus.schema(shard, step):
                if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                    there.setdefault(field.name, (step, field.name))
    there |= {name: place for name, place in SYNONYMS.items() if place in there.values()}
    if score not in there:
        raise SapwoodError(
            f"The documents of '{corpus.name}' cannot be ordered by '{score}': no step says it of them. "
            f"{closest(score, there)}"
        )
    return there[score]
