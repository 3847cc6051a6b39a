"""Documents scored one by one, as they come out of the batches they share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.load import load_config, load_model
from sapwood.backbone.tokenizer import Delimiters
from sapwood.device.memory import reuse_freed_memory
from sapwood.device.precision import autocast_type
from sapwood.likelihood.batch import batch_tokens, plan_batches
from sapwood.likelihood.score import document_windows, score

WINDOW = 8192
"""The most tokens that are predicted at a time, even if the model can read more: what a batch of one may need."""


@dataclass(frozen=True, slots=True)
class DocumentModel:
    """A model on the device of this process, and how it reads documents."""

    model: PreTrainedModel
    delimiters: Delimiters
    """How documents begin."""
    window: int
    """Tokens that are predicted at a time."""
    batch_tokens: int
    autocast: torch.dtype | None

    @staticmethod
    def open(directory: Path, delimiters: Delimiters) -> DocumentModel:
        """Loads the model in a directory, on the GPU that torchrun gives this process, on the CPU where there is none.

        The arithmetic is bf16 where the hardware is fast at it. Raises SapwoodError for a model that sees the tokens it
        predicts, before its weights are read.
        """
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        else:
            device = torch.device("cpu")
            reuse_freed_memory()
        whole = load_config(directory)
        refuse_sight_ahead(whole, f"The model in {directory}")
        config = whole.get_text_config()
        return DocumentModel(
            model=load_model(directory).to(device),
            delimiters=delimiters,
            window=min(getattr(config, "max_position_embeddings", None) or WINDOW, WINDOW),
            batch_tokens=batch_tokens(device, config.vocab_size),
            autocast=autocast_type("auto", device),
        )

    def score(self, documents: Sequence[np.ndarray]) -> Iterator[dict[int, float]]:
        """Scores token ids of documents, and gives the nats of some after the other, by their numbers in `documents`.

        Every token of a document is predicted once, in windows that begin as documents do (`rolling_windows`). Answers
        come whenever no document is half done. So of documents that fit into one window, those without an answer yet
        would now be batched as they were from the beginning: who stops here and goes on later gets the same numbers.
        """
        owners: list[int] = []
        windows: list[np.ndarray] = []
        contexts: list[int] = []
        for number, tokens in enumerate(documents):
            for window, context in document_windows(tokens, self.delimiters, self.window):
                owners.append(number)
                windows.append(window)
                contexts.append(context)
        waiting = np.bincount(np.array(owners, np.int64), minlength=len(documents))
        nats = {number: 0.0 for number in range(len(documents)) if not waiting[number]}
        half_done: set[int] = set()
        for batch in plan_batches([len(window) - 1 for window in windows], self.batch_tokens):
            rows = [windows[index] for index in batch]
            starts = [contexts[index] for index in batch]
            scored = score(self.model, rows, context=starts, max_tokens=self.batch_tokens, autocast=self.autocast)
            for index, answer in zip(batch, scored, strict=True):
                owner = owners[index]
                nats[owner] = nats.get(owner, 0.0) + answer.nats
                waiting[owner] -= 1
                (half_done.add if waiting[owner] else half_done.discard)(owner)
            if not half_done:
                yield nats
                nats = {}
        if nats:
            yield nats
