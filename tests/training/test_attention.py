"""Packed documents do not see each other, in whatever model: which way is right for a kind is found by trying."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from packing import packed
from sapwood.errors import SapwoodError
from sapwood.mixture.stream import Sequence
from sapwood.tokens.sequence import Span
from sapwood.training.attention import attend_by_document, isolation
from sapwood.training.batch import Batch, make_batch
from sapwood.training.isolation import way_of
from sapwood.training.loss import LossHead, next_token_losses
from small_models import small_model

pytestmark = pytest.mark.slow

ROWS = [[10, 1, 14], [25], [1, 20, 4]]
"""Documents of three sequences: one of a single token first, in the middle, and whole sequences among packed ones."""
WAYS = {
    "llama": "bounds",
    "gpt2": "bounds",
    "opt": "bounds",
    "gemma2": "positions",
    "gemma3_text": "positions",
    "mamba": "rows",
    "qwen3_5_text": "rows",
    "falcon_h1": "rows",
    "granitemoehybrid": "rows",
    "lfm2": "rows",
    "afmoe": "rows",
    "gpt_oss": "rows",
}


def alone(model: PreTrainedModel, sequence: Sequence) -> float:
    """The sum of the losses of the documents of a sequence, each of which goes through the model by itself."""
    total = 0.0
    for span in sequence.spans:
        tokens = torch.from_numpy(sequence.tokens[span.offset : span.offset + span.length])[None]
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
    return total


@pytest.mark.parametrize("kind", WAYS)
@torch.no_grad()
def test_the_loss_of_packed_documents_is_that_of_each_alone(kind: str) -> None:
    model = small_model(kind)
    sequences = [packed(lengths, seed) for seed, lengths in enumerate(ROWS)]
    expected = [alone(model, sequence) for sequence in sequences]
    attend_by_document(model)
    assert way_of(model) == WAYS[kind]
    total, losses = next_token_losses(model, make_batch(sequences, isolate_documents=True), LossHead.of(model))
    assert losses.tolist() == pytest.approx(expected, abs=1e-3)
    assert total.item() == pytest.approx(sum(expected), abs=1e-3)


def test_documents_a_row_have_the_gradients_of_documents_alone() -> None:
    model = small_model("lfm2")
    attend_by_document(model)
    head = LossHead.of(model)
    batch = make_batch([packed(lengths, seed) for seed, lengths in enumerate(ROWS)], isolate_documents=True)

    def gradients(batches: list[Batch]) -> list[torch.Tensor]:
        model.zero_grad()
        for part in batches:
            next_token_losses(model, part, head)[0].backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    cut = gradients([part for part, _ in batch.by_document(30)])
    torch.testing.assert_close(gradients([batch]), cut, rtol=1e-4, atol=1e-5)


def test_documents_a_row_lose_no_token_and_fill_no_batch_beyond_its_size() -> None:
    batch = make_batch([packed(lengths, seed) for seed, lengths in enumerate(ROWS)], isolate_documents=True)
    parts = batch.by_document(50)
    assert all(part.tokens.numel() <= 50 and not part.is_packed for part, _ in parts)
    predicted = [0, 0, 0]
    for part, owners in parts:
        for owner, number in zip(owners, part.predicted, strict=True):
            predicted[owner] += number
    assert predicted == batch.predicted


def test_sequences_of_documents_of_one_token_predict_nothing() -> None:
    tokens = packed([1, 1, 1]).tokens
    sequence = Sequence(0, "d", 0, tokens, tuple(Span(0, 0, 1, offset) for offset in range(3)))
    batch = make_batch([sequence], isolate_documents=True)
    assert [part.predicted for part, _ in batch.by_document(3)] == [[0]]
    model = small_model("mamba")
    attend_by_document(model)
    assert next_token_losses(model, batch, None)[0].item() == 0.0


def test_a_model_that_sees_what_it_predicts_is_refused() -> None:
    model = small_model("bert", is_decoder=False)
    with pytest.raises(SapwoodError, match=r"BertLMHeadModel sees the tokens that it predicts.*`is_decoder`"):
        attend_by_document(model, isolate_documents=False)
    attend_by_document(small_model("bert", is_decoder=True))


def test_what_a_window_or_a_cap_needs_is_found_by_what_layers_ask_for() -> None:
    assert isolation(small_model("mistral", sliding_window=None).config).ways[0] == "bounds"
    assert isolation(small_model("mistral", sliding_window=16).config).ways[0] == "positions"


def test_a_model_that_cannot_be_looked_at_gets_the_way_that_is_always_right(monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.backbone import small

    monkeypatch.setattr(small, "PARAMETERS", 10)
    found = isolation(small_model("llama", initializer_range=0.123).config)
    assert found.ways == ("rows",)
    assert found.why is not None
    assert "does not get smaller" in found.why
