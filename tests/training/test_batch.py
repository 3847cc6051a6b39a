from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from packing import packed
from sapwood.backbone.load import load_model
from sapwood.mixture.stream import Sequence
from sapwood.tokens.sequence import Span
from sapwood.training.batch import IGNORED, empty_batch, make_batch
from sapwood.training.loss import next_token_losses


def test_positions_restart_and_first_tokens_are_not_predicted() -> None:
    batch = make_batch([packed([3, 4, 1])], isolate_documents=True)
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3, 0]]
    assert (batch.labels == IGNORED).tolist() == [[True, False, False, True, False, False, False, True]]
    assert batch.predicted == [5]


def test_without_isolation_everything_but_the_first_token_is_predicted() -> None:
    batch = make_batch([packed([3, 4, 1])], isolate_documents=False)
    assert batch.positions.tolist() == [list(range(8))]
    assert batch.predicted == [7]


def test_bounds_are_where_documents_begin_in_a_line_of_all_sequences() -> None:
    sequences = [packed([3, 4, 1]), packed([8])]
    assert make_batch(sequences, isolate_documents=True).bounds.tolist() == [0, 3, 7, 8, 16]
    assert make_batch(sequences, isolate_documents=False).bounds.tolist() == [0, 8, 16]


def test_in_an_empty_batch_nothing_is_predicted() -> None:
    batch = empty_batch(8)
    assert batch.predicted == [0]
    assert batch.tokens.shape == batch.positions.shape == (1, 8)
    assert batch.bounds.tolist() == [0, 8]


@settings(max_examples=25)
@given(st.lists(st.integers(min_value=1, max_value=20), min_size=1, max_size=6), st.integers(min_value=0, max_value=99))
def test_packed_documents_do_not_see_each_other(tiny_backbone: Path, lengths: list[int], seed: int) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32).eval()
    sequence = packed(lengths, seed)
    batch = make_batch([sequence], isolate_documents=True)
    with torch.inference_mode():
        together = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits[0]
        for span in sequence.spans:
            piece = slice(span.offset, span.offset + span.length)
            alone = model(input_ids=batch.tokens[:, piece], use_cache=False).logits[0]
            torch.testing.assert_close(together[piece], alone, rtol=1e-4, atol=1e-5)


def test_the_isolated_loss_is_the_sum_of_the_documents_losses(tiny_backbone: Path) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32).eval()
    lengths = [9, 2, 14]
    together, _ = next_token_losses(model, make_batch([packed(lengths)], isolate_documents=True), None)
    whole = packed(lengths)
    alone = torch.zeros(())
    for span in whole.spans:
        part = Sequence(0, "d", 0, whole.tokens[span.offset : span.offset + span.length], (Span(0, 0, span.length, 0),))
        alone += next_token_losses(model, make_batch([part], isolate_documents=True), None)[0]
    torch.testing.assert_close(together, alone)


def test_a_leak_would_be_noticed(tiny_backbone: Path) -> None:
    """The same comparison without isolation must fail, or the tests above show nothing."""
    model = load_model(tiny_backbone, dtype=torch.float32).eval()
    sequence = packed([10, 10])
    batch = make_batch([sequence], isolate_documents=False)
    with torch.inference_mode():
        together = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits[0, 10:]
        alone = model(input_ids=batch.tokens[:, 10:], use_cache=False).logits[0]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
