"""Whoever answers the questions of a task: our own evaluator here, on torch alone; lm-evaluation-harness elsewhere."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch.distributed.tensor import DTensor
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import AUTO
from sapwood.device.precision import autocast_type
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.likelihood.batch import batch_tokens, plan_batches
from sapwood.likelihood.documents import WINDOW, DocumentModel
from sapwood.likelihood.score import score
from sapwood.progress import track
from sapwood.recipe.task import Task
from sapwood.suites.question import Form, Pair, Question


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
    rows, cuts = _encode_prompts(model, prompts, model.window - max_tokens)
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


def _encode_prompts(model: EvaluatedModel, prompts: Sequence[str], room: int) -> tuple[list[np.ndarray], list[bool]]:
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


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model on the device of this process, with its tokenizer."""

    model: PreTrainedModel
    encoder: Encoder
    """It knows how prompts begin (`Encoder.delimiters`)."""
    ends: tuple[int, ...]
    """The tokens that end a text."""
    window: int
    """The most tokens that are read at a time."""
    batch_tokens: int
    """Tokens in a padded batch that is scored, at most."""
    autocast: torch.dtype | None
    """The arithmetic, if not that of the weights."""

    @staticmethod
    def open(
        directory: Path, precision: Literal["auto", "bf16", "fp32"] = "auto", *, begin: str = AUTO, end: str = AUTO
    ) -> EvaluatedModel:
        """Loads the model in a directory, on this process's GPU or the CPU. `auto` is bf16 where it is fast.

        Texts begin and end as its tokenizer does it, or with the tokens spelled `begin` and `end`.
        """
        encoder = Encoder.load(directory, begin, end)
        model = DocumentModel.open(directory, encoder.delimiters).model
        return EvaluatedModel.of(model, encoder, autocast_type(precision, model.device))

    @staticmethod
    def of(model: PreTrainedModel, encoder: Encoder, autocast: torch.dtype | None) -> EvaluatedModel:
        """A model that is loaded already, such as one in training, with its tokenizer.

        Raises SapwoodError for a model that sees the tokens it predicts.
        """
        refuse_sight_ahead(model.config, type(model).__name__)
        config = model.config.get_text_config()
        return EvaluatedModel(
            model=model,
            encoder=encoder,
            ends=tuple(sorted({encoder.delimiters.end, *_ends(model)})),
            window=min(getattr(config, "max_position_embeddings", None) or WINDOW, WINDOW),
            batch_tokens=batch_tokens(model.device, config.vocab_size),
            autocast=autocast,
        )

    @property
    def precision(self) -> str:
        """The arithmetic, in words."""
        return str(self.autocast or self.model.dtype).removeprefix("torch.")


def _ends(model: PreTrainedModel) -> list[int]:
    """What the model's own settings for generation name: chat models end a turn with another token than a text."""
    named = getattr(model.generation_config, "eos_token_id", None)
    return [] if named is None else list(named) if isinstance(named, list | tuple) else [named]


VERSION = 1
"""Goes up when the same model would get other numbers."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says to the questions of a task, in their order."""

    loglikelihoods: list[dict[Form, list[float]]]
    """ln p of every pair of every question, by form."""
    texts: list[str] | None
    """What it wrote; None where nothing was to be written."""
    cuts: list[bool]
    """Whether the beginning of a prompt was left out, because the model cannot read so much."""


class Evaluator(Protocol):
    """A model, and a way to ask it."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the answers beside the weights and the questions."""
        ...

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        """The answers to the questions. On several ranks this is a collective."""
        ...


@dataclass(frozen=True, slots=True)
class TorchEvaluator:
    """Our own evaluator: the model in this process, batched without padding waste, on as many ranks as there are."""

    model: EvaluatedModel

    @property
    def settings(self) -> dict[str, Any]:
        """See `Evaluator`."""
        model = self.model
        return {
            "evaluator": f"sapwood {VERSION}",
            "tokenizer": model.encoder.fingerprint,
            "precision": model.precision,
            "window": model.window,
        }

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        """See `Evaluator`."""
        flat = list(flatten(questions))
        scored = score_continuations(self.model, [pair for _, _, pair in flat], task.name)
        loglikelihoods: list[dict[Form, list[float]]] = [defaultdict(list) for _ in questions]
        cuts = [False] * len(questions)
        for (number, form, _), continuation in zip(flat, scored, strict=True):
            loglikelihoods[number][form].append(continuation.loglikelihood)
            cuts[number] |= continuation.cut
        prompts = [question.prompt for question in questions if question.prompt is not None]
        texts = None
        if prompts:
            written = generate_texts(
                self.model, prompts, stop=task.stop, max_tokens=task.max_tokens, title=f"{task.name}, writing"
            )
            texts = [item.text for item in written]
            cuts = [cut or item.cut for cut, item in zip(cuts, written, strict=True)]
        return Answers([dict(forms) for forms in loglikelihoods], texts, cuts)


def flatten(questions: Sequence[Question]) -> list[tuple[int, Form, Pair]]:
    """All pairs of all questions, with the question's number and the form."""
    return [
        (number, form, pair)
        for number, question in enumerate(questions)
        for form, pairs in question.pairs.items()
        for pair in pairs
    ]
