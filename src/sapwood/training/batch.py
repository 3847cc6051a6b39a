"""Sequences of the stream to tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass

import numpy as np
import torch

from sapwood.mixture.stream import Sequence

IGNORED = -100
"""The label of a token that is not predicted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed sequences as the model takes them, all [sequences, sequence_length] but `bounds`."""

    tokens: torch.Tensor
    positions: torch.Tensor
    """The position of every token inside its document; it starts again at 0 with each document."""
    labels: torch.Tensor
    """The token itself where it is predicted from the ones before it, else IGNORED."""
    bounds: torch.Tensor
    """Where documents, or whole sequences, begin in the batch laid out in one line, and its length: [documents + 1]."""

    @property
    def predicted(self) -> list[int]:
        """How many tokens of every sequence are predicted. The first one, or that of an isolated document, is not."""
        return (self.labels[:, 1:] != IGNORED).sum(1).tolist()

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device, copied while the host goes on."""
        if device.type == "cpu":
            return self
        parts = (self.tokens, self.positions, self.labels, self.bounds)
        return Batch(*(part.pin_memory().to(device, non_blocking=True) for part in parts))


def make_batch(sequences: Several[Sequence], *, isolate_documents: bool) -> Batch:
    """Stacks sequences. With `isolate_documents`, positions restart and a document's first token is not predicted.

    Positions alone isolate documents: transformers derives the block-diagonal mask from their restarts, as long as it
    is given no attention mask and no cache.
    """
    tokens = np.stack([sequence.tokens for sequence in sequences])
    labels = tokens.copy()
    length = tokens.shape[1]
    if isolate_documents:
        positions = np.empty_like(tokens)
        bounds = []
        for row, sequence in enumerate(sequences):
            for span in sequence.spans:
                positions[row, span.offset : span.offset + span.length] = np.arange(span.length)
                labels[row, span.offset] = IGNORED
                bounds.append(row * length + span.offset)
    else:
        positions = np.broadcast_to(np.arange(length), tokens.shape).copy()
        bounds = [row * length for row in range(len(sequences))]
    bounds.append(tokens.size)
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(positions),
        torch.from_numpy(labels),
        torch.tensor(bounds, dtype=torch.int32),
    )


def empty_batch(length: int) -> Batch:
    """A sequence in which nothing is predicted: for a rank that has none, while others run the model."""
    tokens = torch.zeros(1, length, dtype=torch.int64)
    positions = torch.arange(length)[None]
    return Batch(tokens, positions, torch.full_like(tokens, IGNORED), torch.tensor([0, length], dtype=torch.int32))
