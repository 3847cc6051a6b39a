"""The stream over stores of made-up tokens: what is read, in which order, and how it is found again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapwood.mixture.epochs import Epochs
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import Mixture
from sapwood.recipe.mixture import Order
from sapwood.tokens.store import TokenStore

pytestmark = pytest.mark.slow

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]
WEIGHTS = {"a": Fraction(2, 3), "b": Fraction(1, 3)}
BY_LENGTH = Order(by="tokens")


def stream_over(directory: Path, make_store: MakeStore, lengths: dict[str, list[int]], rounds: list[dict]) -> Stream:
    """A stream of two domains; each round has so many sequences, of so many tokens, in some orders."""
    ledger = Ledger(directory / "ledger.jsonl")
    epochs = {}
    for name, documents in lengths.items():
        store = make_store(directory / name, [[[7] * (length - 1) + [0] for length in documents]])
        scores = np.array(documents, np.float64)
        where, key = directory / "orders" / name, f"0/{name}"
        epochs[name] = Epochs(where, store, None, store.tokens, lambda _, s=scores: s, key=key, identity="")
    for index, fields in enumerate(rounds):
        ledger.append(
            Round(
                index=index,
                stage=f"stage {index}",
                start=ledger.decided,
                start_tokens=ledger.tokens_until(ledger.decided),
                mixture=Mixture(WEIGHTS, {"a": "g", "b": "g"}),
                first=ledger.consumed_until(ledger.decided),
                reasons=("because",),
                **fields,
            )
        )
    return Stream(ledger, epochs)


ROUNDS = st.lists(
    st.fixed_dictionaries(
        {
            "sequences": st.integers(1, 40),
            "sequence_length": st.integers(2, 20),
            "orders": st.sampled_from([{}, {"a": BY_LENGTH}, {"a": BY_LENGTH, "b": BY_LENGTH}]),
        }
    ),
    min_size=1,
    max_size=4,
)
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS, a=LENGTHS, b=LENGTHS)
def test_documents_are_told_at_once_as_they_are_one_by_one(
    make_store: MakeStore, rounds: list[dict], a: list[int], b: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        stream = stream_over(Path(directory), make_store, {"a": a, "b": b}, rounds)
        seen: dict[str, set[int]] = {"a": set(), "b": set()}
        for position in range(stream.ledger.decided + 1):
            for domain, documents in seen.items():
                assert stream.documents_until(domain, position).tolist() == sorted(documents)
            if position < stream.ledger.decided:
                sequence = stream[position]
                seen[sequence.domain].update(span.document for span in sequence.spans)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS, a=LENGTHS, b=LENGTHS)
def test_after_every_round_each_token_was_read_as_often_as_there_were_epochs(
    make_store: MakeStore, rounds: list[dict], a: list[int], b: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        stream = stream_over(Path(directory), make_store, {"a": a, "b": b}, rounds)
        lengths = {"a": a, "b": b}
        read = {name: [np.zeros(length, int) for length in part] for name, part in lengths.items()}
        for entry in stream.ledger.rounds:
            for position in range(entry.start, entry.stop):
                sequence = stream[position]
                assert len(sequence.tokens) == entry.sequence_length
                assert position in stream.positions(entry, sequence.domain, sequence.start, sequence.start + 1)
                for span in sequence.spans:
                    read[sequence.domain][span.document][span.start : span.start + span.length] += 1
            for name, consumed in entry.consumed_until(entry.stop).items():
                times = np.concatenate(read[name])
                epochs, rest = divmod(consumed, sum(lengths[name]))
                assert (times == epochs + 1).sum() == rest
                assert (times == epochs).sum() == len(times) - rest


def test_the_pieces_of_a_long_document_are_spread_out(tmp_path: Path, make_store: MakeStore) -> None:
    lengths = {"a": [2000, *[10] * 400], "b": [10]}
    stream = stream_over(tmp_path, make_store, lengths, [{"sequences": 600, "sequence_length": 10}])
    places = [p for p in range(600) if stream[p].domain == "a" and any(s.document == 0 for s in stream[p].spans)]
    assert len(places) >= 199
    assert places[-1] - places[0] > 500, "they would stand within 300 sequences otherwise"


def test_by_a_score_they_follow_each_other(tmp_path: Path, make_store: MakeStore) -> None:
    lengths = {"a": [300, 20, 10, 40], "b": [10]}
    rounds = [{"sequences": 54, "sequence_length": 10, "orders": {"a": BY_LENGTH}}]
    stream = stream_over(tmp_path, make_store, lengths, rounds)
    found = [stream[p] for p in range(54)]
    assert [s.spans[0].document for s in found if s.domain == "a"][:8] == [2, 1, 1, 3, 3, 3, 3, 0]


def test_what_is_not_decided_is_not_there(tmp_path: Path, make_store: MakeStore) -> None:
    stream = stream_over(tmp_path, make_store, {"a": [9], "b": [9]}, [{"sequences": 3, "sequence_length": 10}])
    with pytest.raises(IndexError, match="no round holds position 3"):
        stream[3]
