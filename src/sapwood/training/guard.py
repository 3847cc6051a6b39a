"""Watches loss and gradient for what cannot be right, on the device, so that no step waits for the host."""

from __future__ import annotations

import torch

from sapwood.recipe.schema import Guard

LEAST_DEVIATION = 0.01
"""A running deviation counts as at least so much of the mean: else the first ripple on a still lake is a jump."""


class Watch:
    """Running statistics of the loss and of the gradient's norm over the last steps."""

    def __init__(self, settings: Guard, device: torch.device) -> None:
        self._threshold = settings.threshold
        self._history = torch.zeros(2, settings.window, device=device)
        self._count = torch.zeros(1, dtype=torch.int64, device=device)

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What it remembers, to be saved and put back in place."""
        return {"guard/history": self._history, "guard/count": self._count}

    def judge(self, loss: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """Whether a step with this loss and norm [scalars] is one to leave out: 1 or 0 [scalar, fp32], on the device.

        It is where either is not finite, or, once the window is full, stands more than `threshold` deviations above its
        mean. Jumps are remembered too, so that a lasting change becomes the new mean after a few steps.
        """
        values = torch.stack([loss, norm]).float()
        finite = values.isfinite().all()
        bad = ~finite
        if self._threshold is not None:
            mean = self._history.mean(1)
            deviation = torch.maximum(self._history.std(1), LEAST_DEVIATION * mean.abs())
            full = self._count >= self._history.shape[1]
            bad = bad | ((values > mean + self._threshold * deviation).any() & full[0])
        place = self._count % self._history.shape[1]
        kept = self._history.index_select(1, place)
        self._history.index_copy_(1, place, torch.where(finite, values[:, None], kept))
        self._count += finite
        return bad.float()
