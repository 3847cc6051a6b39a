"""Which documents a run was trained on, all at once: the bulk counterpart of `audit`, which follows single ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sapwood.mixture.order import Documents
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import source_of

Rows = npt.NDArray[np.int64]
"""Rows of a prepared shard, ascending."""
Shard = tuple[str, str]
"""A source, and the name of one of its shards."""


def trained_rows(stream: Stream, position: int) -> dict[Shard, Rows]:
    """The documents of which a token comes before `position`: rows of the prepared shards that hold any."""
    numbers: dict[str, list[Documents]] = {}
    for domain in stream.epochs:
        numbers.setdefault(source_of(domain), []).append(stream.documents_until(domain, position))
    stores = {source_of(domain): epochs.store for domain, epochs in stream.epochs.items()}
    found: dict[Shard, Rows] = {}
    for source, parts in numbers.items():
        documents = np.sort(np.concatenate(parts))  # a document is in one domain of its source alone
        first = 0
        for shard, rows in stores[source].rows():
            start, stop = np.searchsorted(documents, (first, first + len(rows)))
            if start < stop:
                found[source, shard] = rows[documents[start:stop] - first]
            first += len(rows)
    return found
