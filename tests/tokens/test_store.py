from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.tokens.store import TokenStore

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]
SHARDS = [[[1, 2, 0], [3, 0]], [], [[4, 5, 6, 7, 0]], [[8, 0], [9, 10, 0], [11, 0]]]
FLAT = [token for shard in SHARDS for document in shard for token in document]
DOCUMENTS = [document for shard in SHARDS for document in shard]


@pytest.fixture
def store(tmp_path: Path, make_store: MakeStore) -> TokenStore:
    return make_store(tmp_path / "store", SHARDS)


def test_counts(store: TokenStore) -> None:
    assert (store.documents, store.tokens) == (6, 17)
    assert store.lengths().tolist() == [3, 2, 5, 2, 3, 2]


def test_reads_any_stretch_across_shards(store: TokenStore) -> None:
    for start in range(18):
        for stop in range(start, 18):
            ids = store.read(start, stop)
            assert ids.dtype == np.int64
            assert ids.tolist() == FLAT[start:stop]
            documents, starts, lengths = store.pieces(start, stop)
            rebuilt = [DOCUMENTS[d][s : s + n] for d, s, n in zip(documents, starts, lengths, strict=True)]
            assert [token for piece in rebuilt for token in piece] == FLAT[start:stop]
            assert (lengths > 0).all()


def test_documents_come_without_their_end(store: TokenStore) -> None:
    assert [store.document(number).tolist() for number in range(6)] == [document[:-1] for document in DOCUMENTS]


@given(start=st.integers(-3, 20), stop=st.integers(-3, 20))
def test_stretches_outside_are_refused(start: int, stop: int) -> None:
    store = object.__new__(TokenStore)
    store._first_token = np.array([0, 17])
    if not 0 <= start <= stop <= 17:
        for method in (store.read, store.pieces):
            with pytest.raises(IndexError):
                method(start, stop)


@pytest.mark.parametrize("number", [-1, 6])
def test_documents_outside_are_refused(store: TokenStore, number: int) -> None:
    with pytest.raises(IndexError):
        store.document(number)


def test_an_empty_store(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(tmp_path / "store", [[]])
    assert (store.documents, store.tokens, store.lengths().tolist(), store.read(0, 0).tolist()) == (0, 0, [], [])
    assert store.pieces(0, 0).documents.tolist() == []
