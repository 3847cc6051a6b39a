"""The loss: next-token cross-entropy, summed, so that it can be divided by the tokens of the whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from sapwood.training.attention import attention_inputs
from sapwood.training.batch import IGNORED, Batch

CHUNK_LOGITS = {"cpu": 1 << 24, "cuda": 1 << 27}
"""How many logits a chunk has at most, in fp32: 64 MiB or 512 MiB."""


def next_token_losses(model: PreTrainedModel, batch: Batch, head: LossHead | None) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p of the predicted tokens, in nats: their sum [scalar, fp32], and that of every sequence [sequences].

    Only the sum has a gradient. With the model's `head`, the logits of the batch never stand in memory whole.
    """
    inputs: dict[str, Any] = {"input_ids": batch.tokens, "use_cache": False, **attention_inputs(model, batch)}
    targets = functional.pad(batch.labels[:, 1:], (0, 1), value=IGNORED)
    if head is None:
        logits = model(**inputs).logits
        losses = functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        return losses.sum(), losses.detach().sum(1)
    head.targets = targets
    try:
        total = model(**inputs).logits
    finally:
        head.targets = None
    assert head.losses is not None
    return total, head.losses.sum(1)


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
        """Turns the head of a model of transformers into one of these; None where its logits are worked on further.

        Scaled or capped logits are not what the head gives, and no loss of theirs can be computed in it.
        """
        head = model.get_output_embeddings()
        config = model.config.get_text_config()
        worked_on = ("final_logit_softcapping", "logit_scale", "logits_scaling")
        if type(head) is not nn.Linear or any(getattr(config, name, None) not in (None, 1, 1.0) for name in worked_on):
            return None
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
