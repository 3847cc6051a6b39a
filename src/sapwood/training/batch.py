"""Sequences of the stream to tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from sapwood.likelihood.batch import plan_batches
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

    @property
    def is_packed(self) -> bool:
        """Whether there are sequences of more than one document, which are kept apart."""
        return len(self.bounds) - 1 > len(self.tokens)

    def by_document(self, most: int) -> list[tuple[Batch, list[int]]]:
        """The same documents one a row, padded on the right, in batches of at most `most` tokens and of similar length.

        With each batch come the sequences that its rows are from. What is predicted, and from what, is the same; of a
        padded token nothing is. Documents of one token, of which nothing is predicted, are not there, and there is a
        batch in any case.
        """
        length = self.tokens.shape[1]
        pieces = [(start, stop) for start, stop in pairwise(self.bounds.tolist()) if stop - start > 1]
        groups = plan_batches([stop - start for start, stop in pieces], most)
        return [self._rows([pieces[number] for number in group], length) for group in groups or [[]]]

    def _rows(self, pieces: Several[tuple[int, int]], length: int) -> tuple[Batch, list[int]]:
        if not pieces:
            return empty_batch(1), [0]
        width = max(stop - start for start, stop in pieces)
        tokens = self.tokens.new_zeros(len(pieces), width)
        labels = torch.full_like(tokens, IGNORED)
        for row, (start, stop) in enumerate(pieces):
            tokens[row, : stop - start] = self.tokens.flatten()[start:stop]
            labels[row, : stop - start] = self.labels.flatten()[start:stop]
        positions = torch.arange(width, device=tokens.device).expand_as(tokens).contiguous()
        bounds = torch.arange(0, tokens.numel() + 1, width, dtype=torch.int32, device=tokens.device)
        return Batch(tokens, positions, labels, bounds), [start // length for start, _ in pieces]

    def pinned(self) -> Batch:
        """The same batch in memory from which a GPU copies while the host goes on."""
        return Batch(*(part.pin_memory() for part in (self.tokens, self.positions, self.labels, self.bounds)))

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        parts = (self.tokens, self.positions, self.labels, self.bounds)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


def make_batch(sequences: Several[Sequence], *, isolate_documents: bool) -> Batch:
    """Stacks sequences. With `isolate_documents`, positions restart and a document's first token is not predicted.

    How a model keeps the documents apart is for `attention.attend_by_document` to say. In most models of transformers
    positions are enough, from whose restarts they derive a mask, as long as they are given no other mask and no cache.
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
