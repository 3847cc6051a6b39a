"""How likely a model finds each document.

A document's score depends on its text, the model and the number of tokens alone, so it is made once: scores are written
down as they come, by document, in a directory named after the scorer, and whatever changes before this step (other
rules, other duplicates) finds them there (`scores`). Several processes share the work by chunks of documents; they need
not know of each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from datatrove.data import Document

from sapwood.backbone.encode import Encoder
from sapwood.backbone.resolve import fingerprint_model
from sapwood.corpus.annotate import Step, annotate, plan
from sapwood.corpus.block import Annotator
from sapwood.corpus.contamination import apply_cuts
from sapwood.corpus.store import (
    CONTAMINATION,
    DOCUMENTS,
    PERPLEXITY,
    REASON,
    SHARDS,
    SIGNALS,
    SourceStore,
    open_shard,
    read_group,
)
from sapwood.errors import SapwoodError
from sapwood.files import append_line, fingerprint, read_line
from sapwood.likelihood.spelling import spelt_bytes
from sapwood.progress import Advance, track
from sapwood.recipe.data import Engine
from sapwood.runs.manifest import Manifest, finished

if TYPE_CHECKING:
    from sapwood.likelihood.documents import DocumentModel


_KEY = np.dtype("S32")
_TYPES: dict[str, np.dtype[Any]] = {
    "documents": _KEY,
    "nats": np.dtype(np.float64),
    "tokens": np.dtype(np.int64),
    "bytes": np.dtype(np.int64),
}


class Score(NamedTuple):
    """What a model makes of one document."""

    nats: float
    """The sum of -ln p over the scored tokens."""
    tokens: int
    bytes: int
    """What these tokens spell, in UTF-8."""


def write_scores(path: Path, scores: Mapping[str, Score]) -> None:
    """Appends scores, by key of 32 hexadecimal digits. They are on the disk when this returns."""
    nats, tokens, sizes = zip(*scores.values(), strict=True)
    append_line(path, {"documents": list(scores), "nats": nats, "tokens": tokens, "bytes": sizes})


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores in a directory, sorted by key: 56 bytes for each document."""

    keys: npt.NDArray[np.bytes_]
    nats: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]

    @staticmethod
    def read(directory: Path) -> Scores:
        """Reads what all processes have written. A line that a kill cut short is left out.

        Raises SapwoodError for a line that is broken otherwise.
        """
        parts: dict[str, list[npt.NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in _TYPES.items()}
        for path in sorted(directory.glob("*.jsonl")):
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        break
                    try:
                        found = read_line(line)
                        for name, kind in _TYPES.items():
                            parts[name].append(np.array(found[name], kind))
                    except (ValueError, KeyError, TypeError) as error:
                        raise SapwoodError(f"{path}, line {number}: not scores ({error}). Remove the line.") from error
        whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        order = np.argsort(whole["documents"], kind="stable")
        return Scores(*(whole[name][order] for name in _TYPES))

    def __len__(self) -> int:
        return len(self.keys)

    def lacks(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of the keys have no score."""
        return self._places(keys) < 0

    def get(self, key: str) -> Score | None:
        """The score with a key; the first that was written, if there are several."""
        (place,) = self._places([key])
        return None if place < 0 else Score(float(self.nats[place]), int(self.tokens[place]), int(self.bytes[place]))

    def _places(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        wanted = np.array(keys, _KEY)
        places = np.searchsorted(self.keys, wanted)
        inside = places < len(self.keys)
        inside[inside] = self.keys[places[inside]] == wanted[inside]
        return np.where(inside, places, -1)


CHUNK_TOKENS = 1 << 17
"""Documents whose tokens are at most so many together are batched together, by one process."""
WRITE_SECONDS = 10.0
"""How often scores are written down at least, where documents fit into a window: what a kill costs."""
TURNS = 16
"""How often each process takes a run of chunks of a large source: often enough for all to end at about the same time,
and so seldom that each reads little more than its own part."""

_CHARACTERS = 16
"""Of a document of which n tokens are scored, at most so many times n characters are looked at."""


class Scorer:
    """What scores, and how."""

    def __init__(self, model: Path, encoder: Encoder, tokens: int | None) -> None:
        """Scores with the model in the directory `model`, which is loaded when there is work.

        Of every document, the first `tokens` tokens are scored, without what begins a text; None scores all.
        """
        self.model = model
        self.tokens = tokens
        self.encoder = encoder
        self.settings = {
            "model": fingerprint_model(model),
            "tokenizer": encoder.fingerprint,
            "tokens": tokens,
        }
        """Everything that decides a document's score, beside its text and the precision of the arithmetic."""

    def score(self, texts: Sequence[str]) -> Iterator[dict[int, Score]]:
        """Scores texts, and gives the scores of some after the other, by their numbers in `texts`."""
        taken = [text if self.tokens is None else text[: _CHARACTERS * self.tokens] for text in texts]
        ids, offsets = self.encoder.encode_batch(taken)
        spelt = np.concatenate([[0], np.cumsum(self._spelt[ids])])
        stops = offsets[1:] if self.tokens is None else np.minimum(offsets[1:], offsets[:-1] + self.tokens)
        documents = [ids[start:stop] for start, stop in zip(offsets[:-1], stops, strict=True)]
        for answer in self._loaded.score(documents):
            scores = {}
            for number, nats in answer.items():
                # Of a tokenizer that drops or adds something, the bytes count in proportion.
                start, stop, end = spelt[offsets[number]], spelt[stops[number]], spelt[offsets[number + 1]]
                size = len(taken[number].encode()) * int(stop - start) // max(1, int(end - start))
                scores[number] = Score(nats, len(documents[number]), size)
            yield scores

    def load(self) -> None:
        """Loads the model, if that was not done."""
        _ = self._loaded

    @cached_property
    def _loaded(self) -> DocumentModel:
        from sapwood.likelihood.documents import DocumentModel  # it imports torch and transformers

        return DocumentModel.open(self.model, self.encoder.delimiters)

    @cached_property
    def _spelt(self) -> npt.NDArray[np.int64]:
        return spelt_bytes(self.encoder.content)


def score_source(store: SourceStore, scorer: Scorer, after: tuple[str, ...]) -> Manifest:
    """Scores the documents of a source that the steps in `after` left, unless that was done before.

    A document is scored as it will be trained on, without what the contamination step cuts out of it. Its windows begin
    as the model's texts do (`rolling_windows`), and do not overlap.

    In the manifest, `counts` and `reasons` are as in `annotate`. Raises SapwoodError where the signals or a step in
    `after` are missing.
    """
    step = _step(store, scorer, after)
    done = finished(store.step(PERPLEXITY), plan(store, step))
    if done is not None:
        return done
    started = time.monotonic()
    score_part(store, scorer, after)
    written = annotate(store, step, Engine(workers=1))
    # Nearly all of the time passed before the columns were written.
    manifest = replace(written, seconds=round(time.monotonic() - started, 3))
    manifest.write(store.step(PERPLEXITY), SHARDS)
    return manifest


def score_part(store: SourceStore, scorer: Scorer, after: tuple[str, ...], rank: int = 0, ranks: int = 1) -> None:
    """Scores the part of a source that belongs to process `rank` of `ranks`, and writes the scores down.

    Documents whose score was written down before, by whichever process, are not scored again. What is batched together
    does not depend on `ranks`. Rank 0 shows progress.
    """
    for name in {SIGNALS, *after}:
        store.manifest(name)
    notes = _notes(store, scorer)
    path = notes / f"{rank:05d}-of-{ranks:05d}.jsonl"
    known = Scores.read(notes)
    chunks = sum(1 for _ in _chunks(store, after, scorer.tokens))
    run = max(1, chunks // (TURNS * ranks))
    mine = [chunk for chunk in _chunks(store, after, scorer.tokens) if chunk.number // run % ranks == rank]
    group: tuple[str, int] | None = None
    with track(f"{store.name}: {PERPLEXITY}", sum(chunk.tokens for chunk in mine)) as advance:
        speed = _Speed(advance, ranks)
        for chunk in mine:
            speed.begin(chunk.tokens)
            if (chunk.shard, chunk.group) != group:
                group = chunk.shard, chunk.group
                documents = _read_group(store, *group, cuts=CONTAMINATION in after)
            keys, texts = zip(*(_final(*documents[row]) for row in chunk.rows), strict=True)
            missing = np.flatnonzero(known.lacks(keys))
            if len(missing):
                _score_chunk(scorer, [keys[n] for n in missing], [texts[n] for n in missing], path, speed)
        speed.begin(0)


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

    def annotate(self, document: Document) -> None:
        key, _ = _final(document.id, document.text, document.metadata.get("cuts"))
        score = self._scores.get(key)
        if score is None:
            raise SapwoodError(f"{self.notes} lacks the score of document {document.id}. Run `sapwood score` again.")
        document.metadata |= {
            "nll": score.nats / score.tokens if score.tokens else None,
            "bits_per_byte": score.nats / math.log(2) / score.bytes if score.bytes else None,
            "scored_tokens": score.tokens,
            "scored_bytes": score.bytes,
        }

    @cached_property
    def _scores(self) -> Scores:
        return Scores.read(self.notes)


class _Chunk(NamedTuple):
    """Documents that are scored together."""

    number: int
    shard: str
    group: int
    """The row group."""
    rows: npt.NDArray[np.int64]
    """The documents, by their place in the row group."""
    tokens: int
    """About how many are scored: counted with the base model's tokenizer."""


class _Speed:
    """Shows how far the work is, and how fast it goes on all processes together."""

    def __init__(self, advance: Advance, ranks: int) -> None:
        self.advance = advance
        self.ranks = ranks
        self.seconds = 0.0
        self.scored = 0
        self.left = 0
        """Tokens of the chunk under way that were not shown as done."""

    def begin(self, tokens: int) -> None:
        """A chunk of about so many tokens comes, and what came before is done."""
        if self.left:
            self.advance(self.left)
        self.left = tokens

    def add(self, tokens: int, seconds: float) -> None:
        """So many tokens were scored in so many seconds."""
        self.scored += tokens
        self.seconds += seconds
        shown = min(tokens, self.left)
        self.left -= shown
        self.advance(shown, f"{self.scored * self.ranks / max(self.seconds, 1e-9):,.0f} tokens/s")


def _score_chunk(scorer: Scorer, keys: list[str], texts: list[str], path: Path, speed: _Speed) -> None:
    scorer.load()
    waiting: dict[str, Score] = {}
    written = then = time.monotonic()
    for answer in scorer.score(texts):
        waiting |= {keys[number]: score for number, score in answer.items()}
        now = time.monotonic()
        speed.add(sum(score.tokens for score in answer.values()), now - then)
        then = now
        if now - written > WRITE_SECONDS:
            write_scores(path, waiting)
            waiting, written = {}, now
    if waiting:
        write_scores(path, waiting)


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


def _chunks(store: SourceStore, after: tuple[str, ...], limit: int | None) -> Iterator[_Chunk]:
    """The documents to be scored, in order, in chunks that depend on nothing but these documents."""
    number = 0
    for shard in store.shards():
        columns = {SIGNALS: ["tokens"], **{step: [REASON] for step in after}}
        for group, batch in enumerate(store.read(shard, columns)):
            tokens = batch[f"{SIGNALS}.tokens"].to_numpy()
            wanted = np.ones(len(tokens), bool)
            for step in after:
                wanted &= batch[f"{step}.{REASON}"].is_null().to_numpy()
            rows = np.flatnonzero(wanted)
            tokens = tokens[rows] if limit is None else np.minimum(tokens[rows], limit)
            place = np.cumsum(tokens) // CHUNK_TOKENS
            cuts = np.flatnonzero(np.diff(place)) + 1
            for part, counts in zip(np.split(rows, cuts), np.split(tokens, cuts), strict=True):
                if len(part):
                    yield _Chunk(number, shard, group, part, int(counts.sum()))
                    number += 1


def _read_group(
    store: SourceStore, shard: str, group: int, *, cuts: bool
) -> list[tuple[str, str, list[dict[str, int]] | None]]:
    """Id, text and cuts of the documents of one row group."""
    path = store.step(DOCUMENTS) / f"{shard}.parquet"
    with open_shard(path) as file:
        table = read_group(file, path, group, ["id", "text"])
    spans = [None] * len(table)
    if cuts:
        path = store.step(CONTAMINATION) / f"{shard}.parquet"
        with open_shard(path) as file:
            spans = read_group(file, path, group, ["cuts"])["cuts"].to_pylist()
    return list(zip(table["id"].to_pylist(), table["text"].to_pylist(), spans, strict=True))


def _final(name: str, text: str, cuts: Sequence[dict[str, int]] | None) -> tuple[str, str]:
    """The text of a document without what is cut out of it, and the key of its score."""
    if not cuts:
        return name, text
    left = apply_cuts(text, cuts)
    return xxhash.xxh3_128_hexdigest(f"{name}\0{left}".encode()), left
