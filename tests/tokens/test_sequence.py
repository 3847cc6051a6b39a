from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapwood.arrays import MappedArray
from sapwood.errors import SapwoodError
from sapwood.tokens.sequence import Epoch, Packing, Span
from sapwood.tokens.store import TokenStore

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]

DOCUMENT = st.lists(st.integers(1, 1000), max_size=9).map(lambda tokens: [*tokens, 0])
SHARDS = st.lists(st.lists(DOCUMENT, max_size=5), min_size=1, max_size=4).filter(any)


def pass_over(store: TokenStore, documents: Sequence[int]) -> Epoch:
    lengths = store.lengths()[list(documents)]
    return Epoch(np.array(documents, np.uint32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shards=SHARDS, length=st.integers(1, 40), epochs=st.integers(1, 3), seed=st.integers(0, 99))
def test_sequences_on_end_are_the_documents_of_pass_after_epoch(
    make_store: MakeStore, shards: list[list[list[int]]], length: int, epochs: int, seed: int
) -> None:
    documents = [document for shard in shards for document in shard]
    chosen = random.Random(seed).sample(range(len(documents)), max(1, len(documents) - seed % 2))
    orders = [random.Random(seed + turn).sample(chosen, len(chosen)) for turn in range(epochs + 1)]
    flat = [token for order in orders for document in order for token in documents[document]]
    once = sum(len(documents[document]) for document in chosen)
    with tempfile.TemporaryDirectory() as directory:
        store = make_store(Path(directory), shards)
        packing = Packing(store, once, lambda number: pass_over(store, orders[number]))
        count = epochs * once // length
        found = [packing.sequence(number * length, length) for number in range(count)]

    assert [token for ids, _ in found for token in ids.tolist()] == flat[: count * length]
    for ids, spans in found:
        filled = 0
        for span in spans:
            assert span.offset == filled
            assert span.length > 0
            filled += span.length
            piece = documents[span.document][span.start : span.start + span.length]
            assert ids[span.offset : filled].tolist() == piece
        assert filled == length


def test_spans_of_documents_shorter_than_a_sequence(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(tmp_path, [[[5, 0], [6, 7, 0]]])
    ids, spans = Packing(store, 5, lambda number: pass_over(store, [[0, 1], [1, 0]][number])).sequence(0, 8)
    assert ids.tolist() == [5, 0, 6, 7, 0, 6, 7, 0]
    assert spans == (Span(0, 0, 2, 0), Span(1, 0, 3, 2), Span(1, 0, 3, 5))


def test_any_place_is_reached_at_once(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(tmp_path, [[[5, 0], [6, 7, 0]]])
    packing = Packing(store, 5, lambda number: pass_over(store, [0, 1]))
    assert packing.sequence(6, 3)[0].tolist() == [0, 6, 7]
    assert packing.sequence(5 * 10**15 + 1, 3)[0].tolist() == [0, 6, 7]


def test_nothing_to_pack(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(tmp_path, [[[0]]])
    with pytest.raises(SapwoodError, match="no tokens"):
        Packing(store, 0, lambda number: pass_over(store, []))
    with pytest.raises(IndexError):
        Packing(store, 1, lambda number: pass_over(store, [0])).sequence(-1, 4)


def test_a_piece_of_a_document_costs_two_reads(make_store: MakeStore, tmp_path: Path, monkeypatch: Any) -> None:
    """Where it begins, and its tokens: whatever else a sequence looks at in the store is a search in memory."""
    store = make_store(tmp_path, [[[1, 2, 0], [3, 0]], [[4, 5, 6, 0], [7, 0]]])
    packing = Packing(store, store.tokens, lambda _: pass_over(store, [2, 0, 3, 1]))
    reads: list[int] = []
    read = MappedArray.part
    monkeypatch.setattr(MappedArray, "part", lambda self, first, count: reads.append(count) or read(self, first, count))
    _, spans = packing.sequence(1, 8)
    assert (len(spans), len(reads), sum(reads)) == (3, 6, 3 + 8)
