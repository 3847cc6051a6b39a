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
    """Packed sequences as the model takes them, all [sequences, sequence_length]."""

    tokens: torch.Tensor
    positions: torch.Tensor
    """The position of every token inside its document; it starts again at 0 with each document."""
    labels: torch.Tensor
    """The token itself where it is predicted from the ones before it, else IGNORED."""

    @property
    def predicted(self) -> int:
        """How many tokens are predicted. The first of a sequence or an isolated document has nothing before it."""
        return int((self.labels[:, 1:] != IGNORED).sum())

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(part.to(device, non_blocking=True) for part in (self.tokens, self.positions, self.labels)))


def make_batch(sequences: Several[Sequence], *, isolate_documents: bool) -> Batch:
    """Stacks sequences. With `isolate_documents`, positions restart and a document's first token is not predicted.

    Positions alone isolate documents: transformers derives the block-diagonal mask from their restarts, as long as it
    is given no attention mask and no cache.
    """
    tokens = np.stack([sequence.tokens for sequence in sequences])
    labels = tokens.copy()
    if isolate_documents:
        positions = np.empty_like(tokens)
        for row, sequence in enumerate(sequences):
            for span in sequence.spans:
                positions[row, span.offset : span.offset + span.length] = np.arange(span.length)
                labels[row, span.offset] = IGNORED
    else:
        positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape).copy()
    return Batch(torch.from_numpy(tokens), torch.from_numpy(positions), torch.from_numpy(labels))
