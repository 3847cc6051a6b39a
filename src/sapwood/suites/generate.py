"""Texts that a model writes, greedily: many at once, until a stop string, the end of a text, or a limit of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.likelihood.batch import plan_batches
from sapwood.progress import track
from sapwood.suites.model import EvaluatedModel

CACHE_TOKENS = {"cpu": 8192, "cuda": 65536}
"""Prompts and answers of a batch, padded, have at most so many tokens: what the key-value cache must hold."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote after a prompt."""

    text: str
    """Up to the first stop string, which is not part of it."""
    finished: bool
    """Whether it ended by itself, or at a stop string, before the limit."""
    cut: bool
    """Whether the beginning of the prompt was left out, because the model cannot read so much."""


def generate_texts(
    model: EvaluatedModel, prompts: Sequence[str], *, stop: Sequence[str], max_tokens: int, title: str
) -> list[Written]:
    """Continues every prompt by the likeliest token each time, in order.

    Whatever the model's own settings for generation say, nothing is sampled and nothing penalised. Prompts of similar
    length go through the model together, padded on the left; that changes logits by no more than rounding, so an answer
    depends on its neighbours only where two tokens are as good as equally likely. Too long a prompt loses its
    beginning, but not what begins every text. On several ranks this is a collective: each takes its part, and all get
    all the texts.

    Raises SapwoodError where the model cannot read as much as is to be written.
    """
    if max_tokens >= model.window:
        raise SapwoodError(
            f"{title}: up to {max_tokens:,} tokens are to be written, but the model reads at most {model.window:,} at "
            "a time. Lower the task's `max_tokens`."
        )
    rows, cuts = _encode(model, prompts, model.window - max_tokens)
    batches = plan_batches([len(row) + max_tokens for row in rows], CACHE_TOKENS[model.model.device.type])
    joined = Ranks.joined()
    rank, ranks = joined.rank, joined.size
    sharded = any(isinstance(parameter, DTensor) for parameter in model.model.parameters())
    # Every id is written down with 1 added, so that 0 is where nothing was written.
    written = np.zeros((len(prompts), max_tokens), np.int64)
    with track(title, len(prompts)) as advance, _greedy(model.model), _arithmetic(model):
        for first in range(0, len(batches), ranks):
            turn = batches[first : first + ranks]
            # Ranks of a sharded model must run it equally often: one without a batch of its own repeats another's.
            batch = turn[min(rank, len(turn) - 1)]
            if rank < len(turn) or sharded:
                answers = _continue(model, [rows[index] for index in batch], stop, max_tokens, sharded and ranks > 1)
                if rank < len(turn):
                    written[batch] = answers + 1
            advance(sum(map(len, turn)))
    written = joined.sum_arrays(written) - 1
    return [_text(model, ids, stop, max_tokens, cut) for ids, cut in zip(written, cuts, strict=True)]


def cut_at(text: str, stop: Sequence[str]) -> str:
    """The text before the first of the stop strings."""
    return text[: min((at for string in stop if (at := text.find(string)) >= 0), default=len(text))]


def _encode(model: EvaluatedModel, prompts: Sequence[str], room: int) -> tuple[list[np.ndarray], list[bool]]:
    ids, offsets = model.encoder.encode_batch(prompts)
    rows, cuts, delimiters = [], [], model.encoder.delimiters
    for start, end in itertools.pairwise(offsets):
        text = ids[start:end]
        front = delimiters.begin if len(text) else delimiters.prefix
        left = max(0, room - len(front))
        rows.append(np.array([*front, *text[max(0, len(text) - left) :].tolist()], np.int64))
        cuts.append(len(text) > left)
    return rows, cuts


def _continue(
    model: EvaluatedModel, rows: Sequence[np.ndarray], stop: Sequence[str], max_tokens: int, in_step: bool
) -> np.ndarray:
    """The ids that follow each row, `[rows, max_tokens]`; -1 where nothing was written."""
    width = max(map(len, rows))
    inputs = np.full((len(rows), width), model.ends[0], np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        inputs[number, width - len(row) :] = row
        mask[number, width - len(row) :] = 1
    device = model.model.device
    output = model.model.generate(
        torch.from_numpy(inputs).to(device),
        attention_mask=torch.from_numpy(mask).to(device),
        generation_config=GenerationConfig(
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=list(model.ends),
            pad_token_id=model.ends[0],
        ),
        stopping_criteria=StoppingCriteriaList([_Stop(model, stop, width)] if stop else []),
        synced_gpus=in_step,
    )
    found = output[:, width:].cpu().numpy()
    answers = np.full((len(rows), max_tokens), -1, np.int64)
    answers[:, : found.shape[1]] = found
    # What follows the end of a text is padding.
    ended = np.isin(answers, model.ends)
    answers[np.cumsum(ended, axis=1) - ended > 0] = -1
    return answers


class _Stop(StoppingCriteria):  # type: ignore[misc]  # transformers has no types for it
    """Ends each row of a batch when a stop string stands at its end."""

    def __init__(self, model: EvaluatedModel, stop: Sequence[str], start: int) -> None:
        self._decode = model.encoder.decode
        self._stop = tuple(stop)
        self._start = start
        # A token spells a byte at least.
        self._tail = 1 + max(len(string.encode()) for string in stop)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        tails = input_ids[:, max(self._start, input_ids.shape[1] - self._tail) :].tolist()
        done = [any(string in text for string in self._stop) for text in map(self._decode, tails)]
        return torch.tensor(done, device=input_ids.device)


def _text(model: EvaluatedModel, ids: np.ndarray, stop: Sequence[str], max_tokens: int, cut: bool) -> Written:
    kept = [number for number in ids.tolist() if number >= 0]
    ended = bool(kept) and kept[-1] in model.ends
    whole = model.encoder.decode(kept[:-1] if ended else kept)
    text = cut_at(whole, stop)
    return Written(text, finished=ended or len(text) < len(whole) or len(kept) < max_tokens, cut=cut)


@contextmanager
def _greedy(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode, and none of the model's own settings for generation, such as a penalty for repetition."""
    settings, modes = model.generation_config, [(module, module.training) for module in model.modules()]
    model.eval()
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = settings
        for module, mode in modes:
            module.training = mode


def _arithmetic(model: EvaluatedModel) -> Any:
    device = model.model.device.type
    return nullcontext() if model.autocast is None else torch.autocast(device, dtype=model.autocast)
