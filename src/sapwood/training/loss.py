"""The loss: next-token cross-entropy, summed, so that it can be divided by the tokens of the whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone.observe import observed
from sapwood.training.batch import IGNORED, Batch
from sapwood.training.isolation import attention_inputs, way_of

CHUNK_LOGITS = {"cpu": 1 << 24, "cuda": 1 << 27}
"""How many logits a chunk has at most, in fp32: 64 MiB or 512 MiB."""

CLOSE = 2e-4
"""How far losses or gradients computed in two ways may differ, as a share: rounding in fp32 comes to 1e-5, and a cap of
logits at 100 to 2e-3."""


def next_token_losses(model: PreTrainedModel, batch: Batch, head: LossHead | None) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p of the predicted tokens, in nats: their sum [scalar, fp32], and that of every sequence [sequences].

    Only the sum has a gradient. With the model's `head`, the logits of the batch never stand in memory whole. Where the
    model needs a row for each document, packed sequences go through it in several parts.
    """
    if way_of(model) == "rows" and batch.is_packed:
        total, losses = torch.zeros((), device=batch.tokens.device), batch.tokens.new_zeros(len(batch.tokens)).float()
        for part, owners in batch.by_document(batch.tokens.numel()):
            of_part, by_row = next_token_losses(model, part, head)
            total = total + of_part
            losses.index_add_(0, torch.tensor(owners, device=losses.device), by_row.float())
        return total, losses
    if head is None:
        each = token_losses(model, batch)
        return each.sum(), each.detach().sum(1)
    head.targets = _targets(batch)
    try:
        total = model(**_inputs(model, batch)).logits
    finally:
        head.targets = None
    assert head.losses is not None
    return total, head.losses.sum(1)


def token_losses(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """-log p of the token after each, in nats [sequences, sequence_length], 0 where that is not predicted."""
    targets = _targets(batch)
    logits = model(**_inputs(model, batch)).logits
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(targets)


def _inputs(model: PreTrainedModel, batch: Batch) -> dict[str, Any]:
    return {"input_ids": batch.tokens, "use_cache": False, **attention_inputs(model, batch)}


def _targets(batch: Batch) -> torch.Tensor:
    return functional.pad(batch.labels[:, 1:], (0, 1), value=IGNORED)


class LossHead(nn.Linear):
    """The output head of a model, which, while it has targets, gives their loss in place of logits.

    A model calls its head last, so its `logits` are then the loss. The parameter, its name and its hooks stay as they
    are, and so does what the model gives to those who only want logits.
    """

    targets: torch.Tensor | None
    """The tokens to predict [sequences, sequence_length], IGNORED where there are none."""
    losses: torch.Tensor | None
    """What came of it, for every token, without a gradient."""

    @staticmethod
    def of(model: PreTrainedModel) -> LossHead | None:
        """Turns the head of a model of transformers into one of these; None where the loss is not that of its logits.

        What a model does with logits further on, such as scaling or capping them, no head can know. Whether its kind
        does is observed (`chunks_agree`).
        """
        head = model.get_output_embeddings()
        if type(head) is not nn.Linear or not chunks_agree(model.config):
            return None
        return LossHead.replace(head)

    @staticmethod
    def replace(head: nn.Linear) -> LossHead:
        """Turns a linear module into one of these, in place."""
        head.__class__ = LossHead
        head.targets = head.losses = None  # type: ignore[assignment]
        return head  # type: ignore[return-value]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [..., vocabulary], or the sum of the losses of `targets` [scalar, fp32]."""
        if self.targets is None:
            return super().forward(hidden)
        losses: torch.Tensor
        total: torch.Tensor
        total, losses = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
            hidden.flatten(0, 1), self.weight, self.bias, self.targets.flatten()
        )
        self.losses = losses.view_as(self.targets)
        return total


def chunks_agree(config: PretrainedConfig) -> bool:
    """Whether, in the models of a configuration, the head alone gives the loss, and its gradient, that logits do."""
    return observed(config, "loss", look_at_chunks) is True


def look_at_chunks(model: PreTrainedModel) -> bool:
    """Compares the loss and the gradients of a model with those that its head gives in chunks."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        return False
    tokens = torch.arange(2 * 16).view(2, 16).to(model.device) % model.config.get_text_config(decoder=True).vocab_size
    positions = torch.arange(16).to(model.device).expand_as(tokens)
    bounds = torch.tensor([0, 16, 32], dtype=torch.int32, device=model.device)
    batch = Batch(tokens, positions, torch.where(positions % 5 == 3, IGNORED, tokens), bounds)
    model.keeps_apart = "rows"  # whose inputs are the tokens alone
    try:
        whole, chunked = (_loss_and_gradients(model, batch, part) for part in (None, LossHead.replace(head)))
    except Exception:  # of many kinds, none of them documented
        return False
    return all(
        torch.linalg.vector_norm(one - other) <= CLOSE * torch.linalg.vector_norm(one)
        for one, other in zip(whole, chunked, strict=True)
    )


def _loss_and_gradients(model: PreTrainedModel, batch: Batch, head: LossHead | None) -> list[torch.Tensor]:
    """The losses of the sequences, and all gradients in one line."""
    model.zero_grad()
    total, losses = next_token_losses(model, batch, head)
    total.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return [losses.float(), torch.cat(gradients)]


class _ChunkedLoss(torch.autograd.Function):
    """Head and cross-entropy in one, some rows at a time.

    The gradient is computed with the loss, chunk by chunk, and only multiplied in the backward pass: so no logits are
    kept, and none are computed twice.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wanted = [ctx.needs_input_grad[number] for number in range(3)]
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        of_hidden = torch.empty_like(hidden) if wanted[0] else None
        of_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        of_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wanted[2] else None
        rows = max(1, CHUNK_LOGITS[hidden.device.type] // weight.shape[0])
        for start in range(0, len(targets), rows):
            part, target = hidden[start : start + rows], targets[start : start + rows]
            counts = target != IGNORED
            chosen = target.clamp(min=0)[:, None]
            logits = functional.linear(part, weight, bias).float()
            normaliser = logits.logsumexp(1)
            losses[start : start + rows] = torch.where(counts, normaliser - logits.gather(1, chosen)[:, 0], 0.0)
            if not any(wanted):
                continue
            # softmax - one-hot, in place
            slope = logits.sub_(normaliser[:, None]).exp_()
            slope.scatter_add_(1, chosen, torch.full_like(chosen, -1, dtype=slope.dtype))
            slope = slope.mul_(counts[:, None]).to(weight.dtype)
            if of_hidden is not None:
                torch.mm(slope, weight, out=of_hidden[start : start + rows])
            if of_weight is not None:
                of_weight += slope.T @ part
            if of_bias is not None:
                of_bias += slope.sum(0)
        ctx.gradients = (of_hidden, of_weight, of_bias)
        ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        of_hidden, of_weight, of_bias = (
            None if slope is None else slope.mul_(gradients[0]).to(ctx.dtype) for slope in ctx.gradients
        )
        ctx.gradients = None
        return of_hidden, of_weight, of_bias, None
