from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sapwood.tokens.store import TokenStore

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]
SHARDS = [[[1, 2, 0], [3, 0]], [], [[4, 5, 6, 7, 0]], [[8, 0], [9, 10, 0], [11, 0]]]
DOCUMENTS = [document for shard in SHARDS for document in shard]


@pytest.fixture
def store(tmp_path: Path, make_store: MakeStore) -> TokenStore:
    return make_store(tmp_path / "store", SHARDS)


def test_counts(store: TokenStore) -> None:
    assert (store.documents, store.tokens) == (6, 17)
    assert store.lengths().tolist() == [3, 2, 5, 2, 3, 2]


def test_any_part_of_a_document_is_read(store: TokenStore) -> None:
    for number, document in enumerate(DOCUMENTS):
        for start in range(len(document)):
            for length in range(len(document) - start + 1):
                out = np.empty(length, np.int64)
                store.copy(number, start, out)
                assert out.tolist() == document[start : start + length]


def test_documents_are_found_by_id(store: TokenStore) -> None:
    assert [store.find(store.document_id(number)) for number in range(6)] == [[number] for number in range(6)]
    ids = [store.document_id(number) for number in range(6)]
    for length in (0, 1, 2, 7, 12, 31):
        expected = [number for number, name in enumerate(ids) if name.startswith(ids[3][:length])]
        assert store.find(ids[3][:length]) == expected
    assert store.find("0" * 32) == []


def test_documents_know_where_they_come_from(store: TokenStore) -> None:
    assert [store.origin(number) for number in (0, 1, 2, 5)] == [
        ("00000-00000", 0),
        ("00000-00000", 2),
        ("00000-00002", 0),
        ("00000-00003", 4),
    ]
    assert {name: rows.tolist() for name, rows in store.rows()}["00000-00003"] == [0, 2, 4]


@pytest.mark.parametrize("number", [-1, 6])
def test_documents_outside_are_refused(store: TokenStore, number: int) -> None:
    with pytest.raises(IndexError):
        store.document_id(number)


def test_an_empty_store(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(tmp_path / "store", [[]])
    assert (store.documents, store.tokens, store.lengths().tolist()) == (0, 0, [])
    assert store.find("0" * 32) == []
