from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sapwood.likelihood.batch import batch_tokens, chunk_logits, plan_batches

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


@pytest.mark.parametrize(("gibibytes", "tokens", "rows"), [(24, 3139, 392), (80, 10464, 1308), (141, 18444, 2305)])
def test_a_gpu_gets_what_its_memory_holds(
    gibibytes: int, tokens: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a vocabulary of 128,256; on a CPU, 32 rows at a time, of 2,092 tokens."""
    memory = SimpleNamespace(total_memory=gibibytes << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    device = torch.device("cuda")
    assert batch_tokens(device, 128_256) == tokens
    assert chunk_logits(device) // 128_256 == rows
    assert batch_tokens(device, 500) == 32768
    assert batch_tokens(torch.device("cpu"), 128_256) == 2092
