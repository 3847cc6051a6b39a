from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.likelihood.batch import plan_batches

lengths_of_sequences = st.lists(st.integers(0, 300), max_size=60)


@given(lengths_of_sequences, st.integers(1, 1000))
def test_every_sequence_is_in_one_batch(lengths, max_tokens):
    batches = plan_batches(lengths, max_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths_of_sequences, st.integers(1, 1000))
def test_a_padded_batch_keeps_to_the_limit_unless_it_is_one_row(lengths, max_tokens):
    for batch in plan_batches(lengths, max_tokens):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= max_tokens


@given(lengths_of_sequences, st.integers(1, 1000))
def test_lengths_never_grow_from_row_to_row(lengths, max_tokens):
    in_order = [lengths[index] for batch in plan_batches(lengths, max_tokens) for index in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(lengths_of_sequences, st.integers(1, 1000))
def test_little_of_a_batch_is_padding(lengths, max_tokens):
    for batch in plan_batches(lengths, max_tokens):
        assert sum(lengths[batch[0]] - lengths[index] for index in batch) <= max_tokens / 16


@given(lengths_of_sequences, st.integers(1, 1000))
def test_no_batch_could_have_taken_the_next_row(lengths, max_tokens):
    batches = plan_batches(lengths, max_tokens)
    for batch, after in pairwise(batches):
        larger, longest = [*batch, after[0]], lengths[batch[0]]
        padding = sum(longest - lengths[index] for index in larger)
        assert len(larger) * longest > max_tokens or padding > max_tokens / 16


def test_equal_lengths_keep_their_order():
    assert plan_batches([5, 7, 5, 5], max_tokens=10) == [[1], [0, 2], [3]]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="max_tokens"):
        plan_batches([3], max_tokens=0)
