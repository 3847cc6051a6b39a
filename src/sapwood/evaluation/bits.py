"""Bits per byte of held-out text, by domain: the loss that can be compared across languages and tokenizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from sapwood.backbone.encode import Encoder
from sapwood.evaluation.held_out import HeldOutText
from sapwood.evaluation.result import DocumentScore, DomainScore
from sapwood.likelihood.score import rolling_windows, score
from sapwood.progress import track

Texts = Mapping[str, Sequence[HeldOutText]]
"""The held-out texts of every source."""


def score_texts(
    model: PreTrainedModel,
    encoder: Encoder,
    texts: Texts,
    *,
    prefix: int,
    window: int,
    autocast: torch.dtype | None,
    title: str,
) -> dict[str, DomainScore]:
    """Scores all `texts` under `model`.

    Every token of a text is predicted once, in windows of at most `window` tokens that do not overlap; the first token
    is predicted from the token `prefix`, as lm-evaluation-harness does for rolling likelihoods. `title` is shown with
    the progress.
    """
    owners: list[tuple[str, int]] = []
    windows, contexts = [], []
    for source, chosen in texts.items():
        ids, offsets = encoder.encode_batch([text.text for text in chosen])
        for number in range(len(chosen)):
            document = ids[offsets[number] : offsets[number + 1]]
            for tokens, context in rolling_windows(document, prefix, window):
                owners.append((source, number))
                windows.append(tokens)
                contexts.append(context)
    with track(title, sum(len(tokens) for tokens in windows)) as advance:
        scores = score(model, windows, context=contexts, autocast=autocast, advance=advance)

    counts = {source: [0] * len(chosen) for source, chosen in texts.items()}
    nats = {source: [0.0] * len(chosen) for source, chosen in texts.items()}
    for (source, number), scored in zip(owners, scores, strict=True):
        counts[source][number] += scored.tokens
        nats[source][number] += scored.nats
    return {
        source: DomainScore(
            tuple(
                DocumentScore(text.id, text.bytes, counts[source][number], nats[source][number])
                for number, text in enumerate(chosen)
            )
        )
        for source, chosen in texts.items()
    }
