"""How likely a model finds texts: the sum of the negative log-probabilities of their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.tokenizer import Delimiters
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.likelihood.batch import batch_tokens, chunk_logits, plan_batches
from sapwood.progress import Advance

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model makes of one sequence."""

    tokens: int
    """How many tokens were predicted; those that were only context are not among them."""
    nats: float
    """The sum of -ln p(token | tokens before it) over the predicted tokens."""


def score(
    model: PreTrainedModel,
    sequences: Sequence[np.ndarray],
    *,
    context: Sequence[int] | None = None,
    max_tokens: int | None = None,
    autocast: torch.dtype | None = None,
    advance: Advance | None = None,
) -> list[Scored]:
    """Scores all tokens of each sequence but its first `context[i]`, and answers in the order asked.

    `sequences` are one-dimensional arrays of token ids; `context` is 1 where it is not given, since a first
    token has nothing to be predicted from. A sequence with nothing after its context counts 0 tokens.
    `max_tokens` bounds a padded batch, by default to what the device has memory for; `autocast` is the dtype to compute
    in, if not that of the weights; `advance` is told of predicted tokens.

    Sequences that differ in their last token alone, such as a question with the letters of its options, go through the
    model once.

    Where `torch.distributed` is initialised this is a collective: every rank calls it with the same
    arguments, each scores its part of the batches, and all get all the answers. The model may be sharded.

    Raises SapwoodError for a model that sees the tokens it predicts, for a sequence longer than the model can read and
    for a token id it does not have.
    """
    contexts = [1] * len(sequences) if context is None else list(context)
    if model not in _causal:  # to look it up takes 5 ms, and documents are scored batch by batch
        refuse_sight_ahead(model.config, type(model).__name__)
        _causal.add(model)
    _check(model, sequences, contexts)
    counts = [max(0, len(sequence) - start) for sequence, start in zip(sequences, contexts, strict=True)]
    # A sequence's last token is never an input: it is only predicted.
    sharing: dict[tuple[int, bytes], list[int]] = {}
    for index, count in enumerate(counts):
        if count:
            inputs = np.asarray(sequences[index][:-1], dtype=np.int64).tobytes()
            sharing.setdefault((contexts[index], inputs), []).append(index)
    rows = list(sharing.values())
    most = max_tokens or batch_tokens(model.device, model.config.get_text_config().vocab_size)
    planned = plan_batches([len(sequences[row[0]]) - 1 for row in rows], most, _scaling(model.config.get_text_config()))
    batches = [[rows[number] for number in batch] for batch in planned]

    joined = Ranks.joined()
    rank, ranks = joined.rank, joined.size
    nats = np.zeros(len(sequences))
    with _evaluation(model), _autocast(model, autocast):
        for first in range(0, len(batches), ranks):
            turn = batches[first : first + ranks]
            # Ranks of a sharded model must run it equally often: one without a batch of its own repeats another's.
            batch = turn[min(rank, len(turn) - 1)]
            answer = _score_batch(
                model, [[sequences[index] for index in row] for row in batch], [contexts[row[0]] for row in batch]
            )
            if rank < len(turn):
                nats[[index for row in batch for index in row]] = answer
            if advance is not None:
                advance(sum(counts[index] for batch in turn for row in batch for index in row))
    nats = joined.sum_arrays(nats)
    return [Scored(tokens=count, nats=float(value)) for count, value in zip(counts, nats, strict=True)]


def rolling_windows(
    tokens: np.ndarray, prefix: int | Sequence[int], length: int, *, every: bool = True
) -> list[tuple[np.ndarray, int]]:
    """Cuts a document into windows in which every one of its tokens is predicted exactly once.

    Returns (token ids, context) for `score`. Every window begins with `prefix`, as the texts begin that the model
    knows, and after it the last token of the window before; neither is a target there. With `every` false, of a model
    whose texts begin with nothing, the first window alone has it. A window has up to `length` inputs, so up to
    `length + 1` ids. But for the beginnings, these are the disjoint rolling windows of lm-evaluation-harness.

    >>> [(window.tolist(), context) for window, context in rolling_windows(np.array([5, 6, 7]), 0, 2)]
    [([0, 5, 6], 1), ([0, 6, 7], 2)]
    >>> [(window.tolist(), context) for window, context in rolling_windows(np.array([5, 6, 7]), 0, 2, every=False)]
    [([0, 5, 6], 1), ([6, 7], 1)]
    """
    front = np.atleast_1d(np.asarray(prefix, np.int64))
    again = front if every else front[:0]
    if length <= len(again) or length < len(front):
        raise ValueError(f"a window must have at least {len(again) + 1} tokens, not {length}")
    whole = np.asarray(tokens).astype(np.int64)
    first = length + 1 - len(front)
    windows = [(np.concatenate([front, whole[:first]]), len(front))] if len(whole) else []
    for start in range(first, len(whole), length - len(again)):
        later = whole[start - 1 : start + length - len(again)]
        windows.append((np.concatenate([again, later]), len(again) + 1))
    return windows


def document_windows(tokens: np.ndarray, delimiters: Delimiters, length: int) -> list[tuple[np.ndarray, int]]:
    """The windows of a document (`rolling_windows`) of a model whose texts begin as `delimiters` say."""
    return rolling_windows(tokens, delimiters.prefix, length, every=bool(delimiters.begin))


def _scaling(config: PretrainedConfig) -> Callable[[int], int]:
    """By the length of a sequence, how the model scales its rotary positions.

    With `longrope` transformers (5.23.0) scales all rows of a batch by the longest of them, so that a short one would
    be scored otherwise beside a long one (`findings/transformers-rope-follows-the-batch.sh`). With `dynamic` it scales
    beyond `max_position_embeddings` alone, and no such sequence is scored.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    parts = [part for part in (rope, *rope.values()) if isinstance(part, dict)]
    turns = [part["original_max_position_embeddings"] for part in parts if part.get("rope_type") == "longrope"]
    return lambda length: sum(length > turn for turn in turns)


_causal: WeakSet[PreTrainedModel] = WeakSet()
"""Models that are known to see no token that they predict."""


def _check(model: PreTrainedModel, sequences: Sequence[np.ndarray], contexts: Sequence[int]) -> None:
    config = model.config.get_text_config()
    longest: int | None = getattr(config, "max_position_embeddings", None)
    if len(contexts) != len(sequences):
        raise ValueError(f"{len(sequences)} sequences, but {len(contexts)} contexts")
    for index, (sequence, start) in enumerate(zip(sequences, contexts, strict=True)):
        if start < 1:
            raise ValueError(f"sequence {index}: a context of {start}, but a first token cannot be predicted")
        if longest is not None and len(sequence) - 1 > longest:
            raise SapwoodError(
                f"Sequence {index} has {len(sequence):,} tokens, but the model reads at most {longest:,} at a time. "
                "Cut it into windows (rolling_windows) or use a model with a longer context."
            )
        lowest, highest = (int(sequence.min()), int(sequence.max())) if len(sequence) else (0, 0)
        if lowest < 0 or highest >= config.vocab_size:
            raise SapwoodError(
                f"Sequence {index} holds the token id {lowest if lowest < 0 else highest}, but the model knows the ids "
                f"0 to {config.vocab_size - 1}. Use the tokenizer that belongs to the model."
            )


def _score_batch(model: PreTrainedModel, rows: Sequence[Sequence[np.ndarray]], contexts: Sequence[int]) -> np.ndarray:
    """The nats of each sequence, in float64. Those of a row have the same inputs.

    Rows are padded on the right. No attention mask is needed: under causal attention what comes after a
    token does not reach it.
    """
    width = max(len(row[0]) for row in rows) - 1
    inputs = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        inputs[number, : len(row[0]) - 1] = row[0][:-1]
    skipped = min(contexts) - 1
    logits = model(  # [rows, width - skipped, vocabulary]
        input_ids=torch.from_numpy(inputs).to(model.device), use_cache=False, logits_to_keep=width - skipped
    ).logits

    scored = [(number, start, sequence) for number, start in enumerate(contexts) for sequence in rows[number]]
    counts = [len(sequence) - start for _, start, sequence in scored]
    row_of = np.repeat([number for number, _, _ in scored], counts)
    column_of = np.concatenate([np.arange(start - 1, len(sequence) - 1) for _, start, sequence in scored])
    targets = np.concatenate([sequence[start:] for _, start, sequence in scored]).astype(np.int64)
    row_at, column_at, target_at = (
        torch.from_numpy(array).to(logits.device) for array in (row_of, column_of - skipped, targets)
    )
    step = max(1, chunk_logits(logits.device) // logits.shape[-1])
    losses = [
        F.cross_entropy(logits[row, column].float(), target, reduction="none")
        for row, column, target in zip(*(torch.split(at, step) for at in (row_at, column_at, target_at)), strict=True)
    ]
    owner = np.repeat(np.arange(len(scored)), counts)
    return np.bincount(owner, weights=torch.cat(losses).cpu().numpy(), minlength=len(scored))


@contextmanager
def _evaluation(model: PreTrainedModel) -> Iterator[None]:
    """Switches dropout and gradients off, and afterwards every module back to the mode it was in.

    Not `torch.inference_mode`: buffers that FSDP allocates inside of it cannot be used in training afterwards.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _autocast(model: PreTrainedModel, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast(model.device.type, dtype=dtype)
