"""Documents that were trained on, as rows of prepared shards: of a source in several shards and topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sapwood.mixture.epochs import Epochs
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.stream import Stream
from sapwood.mixture.trained import trained_rows
from sapwood.mixture.weights import Mixture
from sapwood.tokens.store import TokenStore

SHARDS = [[[7] * size + [0] for size in sizes] for sizes in ((5, 9, 3), (), (20, 4), (6, 6, 11, 2))]
TOPICS = {"web/law": [0, 3, 4, 7], "web/art": [1, 2, 5, 6, 8]}


def test_rows_of_shards_are_those_of_the_documents(
    tmp_path: Path, make_store: Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]
) -> None:
    store = make_store(tmp_path / "web", SHARDS)
    epochs = {
        topic: Epochs(
            tmp_path / "orders" / topic,
            store,
            np.array(members, np.uint32),
            int(store.lengths()[members].sum()),
            lambda _: np.empty(0),
            key=topic,
            identity="",
        )
        for topic, members in TOPICS.items()
    }
    ledger = Ledger(tmp_path / "ledger.jsonl")
    weights = {"web/law": Fraction(3, 4), "web/art": Fraction(1, 4)}
    mixture = Mixture(weights, {"web": "g"})
    ledger.append(
        Round(
            index=0,
            stage="one",
            start=0,
            start_tokens=0,
            sequences=60,
            sequence_length=4,
            mixture=mixture,
            first={},
            reasons=("because",),
        )
    )
    stream = Stream(ledger, epochs)
    assert trained_rows(stream, 0) == {}
    seen: set[tuple[str, int]] = set()
    for position in range(ledger.decided):
        seen |= {store.origin(span.document) for span in stream[position].spans}
        told = trained_rows(stream, position + 1)
        assert {(shard, row) for (source, shard), rows in told.items() for row in rows.tolist()} == seen
        assert {source for source, _ in told} == {"web"}
    assert len(seen) == store.documents
