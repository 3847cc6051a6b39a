"""How likely a model finds each document.

A document's score depends on its text, the model and the number of tokens alone, so it is made once: scores are written
down as they come, by document, in files named after the scorer, and whatever changes before this step (other rules,
other copies) finds them there. Several processes share the work by chunks of documents, each with a file of its own;
they need not know of each other.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datatrove.data import Document

from sapwood.backbone.encode import Encoder
from sapwood.corpus.annotate import Step, annotate, plan, read_documents
from sapwood.corpus.block import Annotator
from sapwood.corpus.contamination import apply_cuts
from sapwood.corpus.quarantine import is_set_aside
from sapwood.corpus.store import CONTAMINATION, DOCUMENTS, PERPLEXITY, SourceStore
from sapwood.files import append_line, fingerprint, read_lines
from sapwood.manifest import Manifest, finished
from sapwood.progress import track
from sapwood.recipe.data import Engine

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_WINDOW = 8192
"""The longest window, where the model knows no limit or a higher one."""
_LONGEST_CHARACTER = 4

CHUNK_BYTES = 1 << 18
"""Text that is scored together, and written down together: what a kill costs."""


class Score(NamedTuple):
    """What the model makes of one document."""

    nats: float
    """The sum over the scored tokens."""
    tokens: int
    bytes: int


class Scorer:
    """What scores, and how."""

    def __init__(self, model: Path, tokens: int | None) -> None:
        """Scores with the model and the tokenizer in the directory `model`, which is read when there is work.

        Of every document, the first `tokens` tokens are scored; None scores all. On a GPU the one that torchrun gives
        this process is used.
        """
        from sapwood.backbone.resolve import fingerprint_model

        self.model = model
        self.tokens = tokens
        self.encoder = Encoder.load(model)
        self.settings = {"model": fingerprint_model(model), "tokenizer": self.encoder.fingerprint, "tokens": tokens}
        """Everything that decides a document's score, beside its text."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """The score of every text."""
        from sapwood.likelihood.score import rolling_windows, score

        ids, offsets = self.encoder.encode_batch(texts)
        documents = [ids[start:stop] for start, stop in itertools.pairwise(offsets.tolist())]
        taken = [self._beginning(text, tokens) for text, tokens in zip(texts, documents, strict=True)]
        owners, windows = [], []
        for number, (tokens, _) in enumerate(taken):
            for window, _ in rolling_windows(tokens, self._loaded.prefix, self._loaded.window):
                owners.append(number)
                windows.append(window)
        nats = [0.0] * len(texts)
        for number, scored in zip(
            owners, score(self._loaded.model, windows, autocast=self._loaded.autocast), strict=True
        ):
            nats[number] += scored.nats
        return [Score(value, len(tokens), size) for value, (tokens, size) in zip(nats, taken, strict=True)]

    def _beginning(self, text: str, tokens: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint32], int]:
        """The tokens of a text that are scored, and the bytes that these spell.

        Where the last of them ends inside a character, it is left out, and so on; a tokenizer that does not spell its
        tokens as they stood in the text has its bytes counted in proportion.
        """
        if self.tokens is None or len(tokens) <= self.tokens:
            return tokens, len(text.encode())
        for count in range(self.tokens, max(0, self.tokens - _LONGEST_CHARACTER), -1):
            spelt = self.encoder.decode(tokens[:count].tolist())
            if text.startswith(spelt):
                return tokens[:count], len(spelt.encode())
        return tokens[: self.tokens], len(text.encode()) * self.tokens // len(tokens)

    @cached_property
    def _loaded(self) -> _Loaded:
        import torch

        from sapwood.backbone.load import load_config, load_model, load_tokenizer
        from sapwood.likelihood.precision import autocast_type

        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
        tokenizer = load_tokenizer(self.model)
        begin = tokenizer.bos_token_id
        longest = getattr(load_config(self.model).get_text_config(), "max_position_embeddings", None) or _WINDOW
        return _Loaded(
            model=load_model(self.model).to(device),
            prefix=tokenizer.eos_token_id if begin is None else begin,
            window=min(longest, self.tokens or _WINDOW),
            autocast=autocast_type("auto", device),
        )


class _Loaded(NamedTuple):
    """What it takes to score, once it is in memory."""

    model: PreTrainedModel
    prefix: int
    """The token from which the first one of a window is predicted."""
    window: int
    """Tokens that are predicted at a time."""
    autocast: torch.dtype | None


def score_source(store: SourceStore, scorer: Scorer, after: tuple[str, ...]) -> Manifest:
    """Scores the documents of a source that the steps in `after` left, unless that was done before.

    A document is scored as it will be trained on, without what the contamination step cuts out of it. Its first token
    is predicted from the token that begins a text, or else ends one; further windows are predicted without overlap.

    In the manifest, `counts` and `reasons` are as in `annotate`.
    """
    step = _step(store, scorer, after)
    if finished(store.step(PERPLEXITY), plan(store, step)) is None:
        score_part(store, scorer, after)
    return annotate(store, step, Engine(workers=1))


def score_part(store: SourceStore, scorer: Scorer, after: tuple[str, ...], rank: int = 0, ranks: int = 1) -> None:
    """Scores every chunk whose number leaves `rank` when divided by `ranks`, and writes the scores down.

    Documents whose score was written down before, by whichever process, are not scored again. Rank 0 shows progress.
    """
    notes, step = _notes(store, scorer), _step(store, scorer, after)
    scores = read_notes(notes)
    total = store.manifest(DOCUMENTS).counts["bytes"]
    with track(f"{store.name}: perplexity", total if rank == 0 else 0) as advance:
        for number, chunk in enumerate(_chunks(store, step, scorer.tokens)):
            missing = [document for document in chunk if document.id not in scores]
            if missing and number % ranks == rank:
                found = scorer.score([_final_text(document) for document in missing])
                record = {document.id: list(score) for document, score in zip(missing, found, strict=True)}
                append_line(notes / f"{rank:05d}.jsonl", record)
            if rank == 0:
                advance(sum(len(document.text.encode()) for document in chunk))


class PerplexityScores(Annotator):
    """Gives every document the score that was written down for it."""

    columns: ClassVar[dict[str, pa.DataType]] = {
        "nll": pa.float64(),
        "bits_per_byte": pa.float64(),
        "scored_tokens": pa.int64(),
        "scored_bytes": pa.int64(),
    }

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self.notes = notes
        self.scores: dict[str, Score] = {}

    def annotate(self, document: Document) -> None:
        if not self.scores:
            self.scores = read_notes(self.notes)
        score = self.scores[document.id]
        document.metadata |= {
            "nll": score.nats / score.tokens if score.tokens else None,
            "bits_per_byte": score.nats / math.log(2) / score.bytes if score.tokens else None,
            "scored_tokens": score.tokens,
            "scored_bytes": score.bytes,
        }


def read_notes(directory: Path) -> dict[str, Score]:
    """The scores that processes have written down, by document."""
    return {
        name: Score(*score)
        for path in sorted(directory.glob("*.jsonl"))
        for line in read_lines(path)
        for name, score in line.items()
    }


def _notes(store: SourceStore, scorer: Scorer) -> Path:
    return store.step(PERPLEXITY) / f"scores-{fingerprint(scorer.settings)}"


def _step(store: SourceStore, scorer: Scorer, after: tuple[str, ...]) -> Step:
    return Step(
        name=PERPLEXITY,
        annotator=PerplexityScores(_notes(store, scorer)),
        settings=scorer.settings,
        after=after,
        reads={CONTAMINATION: ["cuts"]} if CONTAMINATION in after else {},
    )


def _chunks(store: SourceStore, step: Step, tokens: int | None) -> Iterator[list[Document]]:
    """The documents to be scored, in order, in chunks that depend on nothing but these documents."""
    chunk: list[Document] = []
    size = 0
    for shard in store.shards():
        for document in read_documents(store, shard, step):
            if is_set_aside(document):
                continue
            chunk.append(document)
            # Bytes stand for tokens, of which there are never more.
            length = len(document.text.encode())
            size += length if tokens is None else min(length, 4 * tokens)
            if size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def _final_text(document: Document) -> str:
    return apply_cuts(document.text, document.metadata.get("cuts") or [])
