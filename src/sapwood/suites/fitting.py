"""Prompts that are longer than a model reads, shortened as texts, for evaluators that take nothing else.

Our own evaluator leaves out tokens at the beginning of a prompt, and keeps what begins every text
(`continuations`, `generate`). lm-evaluation-harness cuts the whole from the left, with what begins it. It is given the
end of such a prompt instead, which fits with its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from sapwood.backbone.encode import Encoder
from sapwood.errors import SapwoodError
from sapwood.suites.question import Pair, Question


def fit(
    questions: Sequence[Question], encoder: Encoder, window: int, max_tokens: int
) -> tuple[list[Question], list[bool]]:
    """The questions with contexts that fit into `window` tokens together with the longest of their options, and with
    prompts that leave room for `max_tokens`; and which of them had to be shortened.

    Raises SapwoodError for an option that is longer than the model can read.
    """
    fitted, cuts = [], []
    for question, is_long in zip(questions, _are_long(questions, encoder, window, max_tokens), strict=True):
        pairs, prompt = question.pairs, question.prompt
        if is_long:
            pairs = {form: _fit_pairs(several, encoder, window + 1) for form, several in pairs.items()}
            prompt = None if prompt is None else _end_of(prompt, "", encoder, window - max_tokens)
        fitted.append(replace(question, pairs=pairs, prompt=prompt) if is_long else question)
        cuts.append(is_long)
    return fitted, cuts


def _are_long(questions: Sequence[Question], encoder: Encoder, window: int, max_tokens: int) -> list[bool]:
    """Which do not fit."""
    owners, texts, rooms = [], [], []
    for number, question in enumerate(questions):
        asked = [(context + option, window + 1) for pairs in question.pairs.values() for context, option in pairs]
        asked += [] if question.prompt is None else [(question.prompt, window - max_tokens)]
        for text, room in asked:
            owners.append(number)
            texts.append(text)
            rooms.append(room - len(encoder.delimiters.begin))
    _, offsets = encoder.encode_batch(texts)
    long = [False] * len(questions)
    for owner, room, (first, last) in zip(owners, rooms, pairwise(offsets), strict=True):
        long[owner] |= int(last - first) > room
    return long


def _fit_pairs(pairs: Sequence[Pair], encoder: Encoder, room: int) -> tuple[Pair, ...]:
    """The pairs of a form, whose contexts are the same, with a context that fits with all continuations."""
    longest = max((pair.continuation for pair in pairs), key=lambda text: _length(text, encoder))
    context = _end_of(pairs[0].context, longest, encoder, room)
    return tuple(Pair(context, pair.continuation) for pair in pairs)


def _end_of(text: str, following: str, encoder: Encoder, room: int) -> str:
    """The longest end of a text that begins where one of its tokens does and fits into so many with what follows."""
    room -= len(encoder.delimiters.begin)
    ids, _ = encoder.encode_batch([text])
    first = max(0, len(ids) + _length(following, encoder) - room)
    for start in range(first, len(ids)):
        end = encoder.decode(ids[start:].tolist())
        if text.endswith(end) and _length(end + following, encoder) <= room:
            return end
    if _length(following, encoder) > room:
        raise SapwoodError(
            f"An answer has {_length(following, encoder):,} tokens, but the model reads at most {room:,} at a time: "
            f"{following[:60]!r}. Leave this task out for it."
        )
    return ""


def _length(text: str, encoder: Encoder) -> int:
    return len(encoder.encode_batch([text])[0])
