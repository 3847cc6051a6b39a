from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.tokens.sequence import Packing, Span
from sapwood.tokens.store import TokenStore

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]

DOCUMENT = st.lists(st.integers(1, 1000), max_size=9).map(lambda tokens: [*tokens, 0])
SHARDS = st.lists(st.lists(DOCUMENT, max_size=5), min_size=1, max_size=4).filter(any)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(shards=SHARDS, length=st.integers(1, 40), epochs=st.integers(1, 3))
def test_windows_on_end_are_the_repeated_documents(
    make_store: MakeStore, shards: list[list[list[int]]], length: int, epochs: int
) -> None:
    documents = [document for shard in shards for document in shard]
    flat = [token for document in documents for token in document]
    with tempfile.TemporaryDirectory() as directory:
        packing = Packing(make_store(Path(directory), shards), length)
        count = -(-epochs * len(flat) // length)
        windows = [packing.sequence(window) for window in range(count)]
        assert packing.windows_per_epoch == max(1, len(flat) // length)

    ids = np.concatenate([sequence for sequence, _ in windows])
    assert ids.dtype == np.int64
    repeated = flat * (count * length // len(flat) + 1)
    assert ids.tolist() == repeated[: count * length]

    seen = [np.zeros(len(document), int) for document in documents]
    for sequence, spans in windows:
        filled = 0
        for span in spans:
            assert span.offset == filled
            assert span.length > 0
            filled += span.length
            piece = documents[span.document][span.start : span.start + span.length]
            assert sequence[span.offset : filled].tolist() == piece
            seen[span.document][span.start : span.start + span.length] += 1
        assert filled == length
    # Every token once in every whole pass; the last window may have begun another.
    times = np.concatenate(seen)
    passes, rest = divmod(count * length, len(flat))
    assert times.tolist() == [passes + 1] * rest + [passes] * (len(flat) - rest)


def test_spans_of_a_store_shorter_than_a_sequence(tmp_path: Path, make_store: MakeStore) -> None:
    ids, spans = Packing(make_store(tmp_path, [[[5, 0], [6, 7, 0]]]), 8).sequence(0)
    assert ids.tolist() == [5, 0, 6, 7, 0, 5, 0, 6]
    assert spans == (Span(0, 0, 2, 0), Span(1, 0, 3, 2), Span(0, 0, 2, 5), Span(1, 0, 1, 7))


def test_any_window_is_reached_at_once(tmp_path: Path, make_store: MakeStore) -> None:
    packing = Packing(make_store(tmp_path, [[[5, 0], [6, 7, 0]]]), 3)
    assert packing.sequence(2)[0].tolist() == [0, 6, 7]
    assert packing.sequence(5 * 10**15 + 2)[0].tolist() == [0, 6, 7]


def test_nothing_to_pack(tmp_path: Path, make_store: MakeStore) -> None:
    with pytest.raises(SapwoodError, match="no tokens"):
        Packing(make_store(tmp_path, [[]]), 4)
    with pytest.raises(IndexError):
        Packing(make_store(tmp_path / "full", [[[0]]]), 4).sequence(-1)
