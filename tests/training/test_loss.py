"""The loss in chunks is the loss, and so are its gradients; the attention by document is attention."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from packing import packed
from sapwood.backbone.load import load_model
from sapwood.training import loss as loss_module
from sapwood.training.attention import attend_by_document
from sapwood.training.batch import Batch, empty_batch, make_batch
from sapwood.training.loss import LossHead, next_token_losses
from small_models import MAMBA, small_model

LENGTHS = [[9, 2, 14, 7], [32], [1, 30, 1]]


@pytest.fixture
def batch() -> Batch:
    return make_batch([packed(lengths, seed) for seed, lengths in enumerate(LENGTHS)], isolate_documents=True)


def losses_and_gradients(
    model: PreTrainedModel, batch: Batch, head: LossHead | None
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    total, losses = next_token_losses(model, batch, head)
    (total / 7).backward()
    return (
        total,
        losses,
        {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None},
    )


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_chunks_change_neither_loss_nor_gradient(
    tiny_backbone: Path, batch: Batch, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_backbone, dtype=torch.float64)
    whole = losses_and_gradients(model, batch, None)
    head = LossHead.of(model)
    assert head is not None
    monkeypatch.setitem(loss_module.CHUNK_LOGITS, "cpu", rows * head.weight.shape[0])
    total, losses, gradients = losses_and_gradients(model, batch, head)
    torch.testing.assert_close(total.double(), whole[0].double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(losses, whole[1], rtol=1e-6, atol=1e-6)
    assert losses.shape == (3,)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, whole[2][name], rtol=1e-5, atol=1e-6, msg=name)


def test_the_sums_by_sequence_add_up(tiny_backbone: Path, batch: Batch) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32)
    for head in (None, LossHead.of(model)):
        total, losses = next_token_losses(model, batch, head)
        torch.testing.assert_close(losses.sum(), total)


def test_a_head_gives_logits_to_those_who_want_them(tiny_backbone: Path) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32)
    ids = torch.arange(10)[None]
    before, names = model(input_ids=ids).logits, list(model.state_dict())
    assert LossHead.of(model) is not None
    assert torch.equal(model(input_ids=ids).logits, before)
    assert list(model.state_dict()) == names


CAPPED = {
    "gemma2": {"final_logit_softcapping": 20.0, "head_dim": 8},
    "granite": {"logits_scaling": 8.0},
    "cohere": {"logit_scale": 0.25},
    "falcon_h1": {"lm_head_multiplier": 0.04, **MAMBA, "mamba_d_ssm": 64},
    "recurrent_gemma": {"logits_soft_cap": 20.0},
}


@pytest.mark.parametrize("kind", CAPPED)
def test_logits_that_are_worked_on_further_are_left_alone(kind: str) -> None:
    assert LossHead.of(small_model(kind, **CAPPED[kind])) is None


@pytest.mark.parametrize("kind", ["llama", "opt", "olmoe", "gemma3_text"])
def test_a_head_whose_logits_are_the_models_gives_the_loss_in_chunks(kind: str, batch: Batch) -> None:
    model = small_model(kind)
    whole = losses_and_gradients(model, batch, None)
    head = LossHead.of(model)
    assert head is not None
    torch.testing.assert_close(losses_and_gradients(model, batch, head)[1], whole[1])


def test_a_batch_without_a_sequence_has_no_loss_and_no_gradient(tiny_backbone: Path) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32)
    total, losses, gradients = losses_and_gradients(model, empty_batch(8), LossHead.of(model))
    assert total.item() == losses.sum().item() == 0.0
    assert not any(gradient.any() for gradient in gradients.values())


def test_attention_by_document_is_that_of_the_mask(tiny_backbone: Path, batch: Batch) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32)
    masked = losses_and_gradients(model, batch, None)
    attend_by_document(model)
    assert model.config._attn_implementation == "sapwood"
    _, losses, gradients = losses_and_gradients(model, batch, None)
    torch.testing.assert_close(losses, masked[1])
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, masked[2][name], rtol=1e-4, atol=1e-5, msg=name)


def test_whoever_scores_or_generates_finds_the_usual_attention(tiny_backbone: Path) -> None:
    model = load_model(tiny_backbone, dtype=torch.float32).eval()
    ids = torch.tensor([[5, 6, 7, 8], [0, 0, 9, 10]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])  # padded on the left, as for generating
    arguments = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    before = model.generate(ids, attention_mask=mask, **arguments)
    scores = model(input_ids=ids).logits
    attend_by_document(model)
    assert torch.equal(model.generate(ids, attention_mask=mask, **arguments), before)
    torch.testing.assert_close(model(input_ids=ids).logits, scores)
