"""How likely a model finds texts after their contexts, cut into tokens as lm-evaluation-harness does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sapwood.errors import SapwoodError
from sapwood.likelihood.score import score
from sapwood.progress import track
from sapwood.suites.model import EvaluatedModel
from sapwood.suites.question import Pair


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model makes of a text after its context."""

    loglikelihood: float
    """The sum of ln p over its tokens."""
    cut: bool
    """Whether the beginning of the context was left out, because the model cannot read so much."""


def score_continuations(model: EvaluatedModel, pairs: Sequence[Pair], title: str) -> list[Continuation]:
    """Scores every pair, in order; what is asked several times is computed once.

    A text's tokens are those of context and text together, less those of the context; spaces at the context's end count
    as part of the text. Too long a context loses its beginning, but not what begins every text. On several ranks this
    is a collective.

    Raises SapwoodError for a text that is longer than the model can read.
    """
    once = list(dict.fromkeys(pairs))
    sequences, starts, cuts = _encode(model, once)
    with track(title, sum(len(tokens) - start for tokens, start in zip(sequences, starts, strict=True))) as advance:
        scored = score(
            model.model,
            sequences,
            context=starts,
            max_tokens=model.batch_tokens,
            autocast=model.autocast,
            advance=advance,
        )
    found = {pair: Continuation(-item.nats, cut) for pair, item, cut in zip(once, scored, cuts, strict=True)}
    return [found[pair] for pair in pairs]


def _encode(model: EvaluatedModel, pairs: Sequence[Pair]) -> tuple[list[np.ndarray], list[int], list[bool]]:
    """Token ids, how many of them are context, and whether some were left out."""
    moved = [_with_spaces(pair) for pair in pairs]
    contexts = dict.fromkeys(context for context, _ in moved)
    ids, offsets = model.encoder.encode_batch([context + text for context, text in moved])
    _, context_offsets = model.encoder.encode_batch(list(contexts))
    lengths = dict(zip(contexts, np.diff(context_offsets).tolist(), strict=True))
    sequences, starts, cuts = [], [], []
    for number, (context, _) in enumerate(moved):
        whole = ids[offsets[number] : offsets[number + 1]].astype(np.int64)
        delimiters = model.encoder.delimiters
        front = delimiters.begin if context else delimiters.prefix
        # Where the last characters of a context join the text in one token, that token is the text's.
        start = len(front) + min(lengths[context], len(whole) - 1)
        sequence = np.concatenate([np.array(front, np.int64), whole])
        surplus = max(0, len(sequence) - model.window - 1)
        if surplus > start - max(1, len(front)):
            raise SapwoodError(
                f"An answer has {len(sequence) - start:,} tokens, but the model reads at most {model.window:,} at a "
                f"time: {pairs[number].continuation[:60]!r}. Leave this task out for it."
            )
        sequences.append(np.concatenate([sequence[: len(front)], sequence[len(front) + surplus :]]))
        starts.append(start - surplus)
        cuts.append(surplus > 0)
    return sequences, starts, cuts


def _with_spaces(pair: Pair) -> Pair:
    """The same with the spaces at the context's end at the text's beginning."""
    context = pair.context.rstrip()
    return Pair(context, pair.context[len(context) :] + pair.continuation)
