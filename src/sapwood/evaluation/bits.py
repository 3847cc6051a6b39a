"""Bits per byte of held-out text, by domain: the loss that can be compared across languages and tokenizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from sapwood.backbone.encode import Encoder
from sapwood.evaluation.held_out import HeldOutText
from sapwood.evaluation.result import DocumentScore, DomainScore
from sapwood.likelihood.score import document_windows, score
from sapwood.progress import track

Texts = Mapping[str, Sequence[HeldOutText]]
"""The held-out texts of every source, and of its topics where those are domains of their own."""


def score_texts(
    model: PreTrainedModel,
    encoder: Encoder,
    texts: Texts,
    *,
    window: int,
    autocast: torch.dtype | None,
    title: str,
) -> dict[str, DomainScore]:
    """Scores all `texts` under `model`, each once, however often it is among them.

    Every token of a text is predicted once, in windows of at most `window` tokens that do not overlap and begin as the
    model's texts do (`rolling_windows`). `title` is shown with the progress.
    """
    owners: list[HeldOutText] = []
    windows, contexts = [], []
    once = list(dict.fromkeys(text for chosen in texts.values() for text in chosen))
    ids, offsets = encoder.encode_batch([text.text for text in once])
    for number, text in enumerate(once):
        part = ids[offsets[number] : offsets[number + 1]]
        for tokens, context in document_windows(part, encoder.delimiters, window):
            owners.append(text)
            windows.append(tokens)
            contexts.append(context)
    with track(title, sum(len(tokens) for tokens in windows)) as advance:
        scores = score(model, windows, context=contexts, autocast=autocast, advance=advance)

    counts, nats = dict.fromkeys(once, 0), dict.fromkeys(once, 0.0)
    for text, scored in zip(owners, scores, strict=True):
        counts[text] += scored.tokens
        nats[text] += scored.nats
    return {
        name: DomainScore(tuple(DocumentScore(text.id, text.bytes, counts[text], nats[text]) for text in chosen))
        for name, chosen in texts.items()
    }
