"""All token shards of one source and split as one long list of documents, read from memory maps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sapwood.arrays import MappedArray
from sapwood.corpus.store import PERPLEXITY, STEPS, SourceStore
from sapwood.errors import SapwoodError, closest
from sapwood.runs.manifest import read_manifest, remake
from sapwood.tokens.shard import token_shards


class TokenStore:
    """The documents of one source and split, numbered from 0 in the order of the shards.

    Every document begins and ends as the model's texts do; these tokens count among its own.
    """

    def __init__(self, directory: Path, split: str) -> None:
        """Opens the shards in `directory`. Raises SapwoodError where encoding was not finished, or shards are missing.

        Whatever is read later is checked when it is read: SapwoodError names the file that is damaged.
        """
        manifest = read_manifest(directory)
        if manifest is None:
            raise SapwoodError(f"The tokens in {directory} are not complete. Run `sapwood prepare` first.")
        self._remedy = remake(directory)
        self._shards = token_shards(directory, split)
        self._tokens = [self._map(shard, "tokens", scattered=True) for shard in self._shards]
        self._offsets = [self._map(shard, "offsets", scattered=True) for shard in self._shards]
        self._ids: dict[int, MappedArray] = {}
        self._first_document = _starts(len(offsets) - 1 for offsets in self._offsets)
        self._first_token = _starts(len(tokens) for tokens in self._tokens)
        written = manifest.counts.get(f"{split}_tokens", self.tokens)
        if self.tokens != written:
            raise SapwoodError(
                f"{directory} is damaged: its shards have {self.tokens:,} tokens, and had {written:,}. {self._remedy}"
            )

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return self._first_document[-1]

    @property
    def tokens(self) -> int:
        """How many tokens there are, those that begin and end texts among them."""
        return self._first_token[-1]

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of every document, `[documents]`."""
        return np.concatenate([np.empty(0, np.int64), *(np.diff(offsets.whole()) for offsets in self._offsets)])

    def length(self, number: int) -> int:
        """Tokens of a document."""
        shard, inside = self._place(number)
        start, stop = self._offsets[shard].part(inside, 2)
        return int(stop - start)

    def copy(self, number: int, start: int, out: npt.NDArray[np.int64]) -> None:
        """Fills `out` with the ids of a document from its token `start` on."""
        shard, inside = self._place(number)
        first = int(self._offsets[shard].part(inside, 1)[0]) + start
        out[:] = self._tokens[shard].part(first, len(out))

    def document_id(self, number: int) -> str:
        """The document's `id` in the prepared source: 32 hexadecimal digits."""
        shard, inside = self._place(number)
        if shard not in self._ids:
            self._ids[shard] = self._map(self._shards[shard], "ids")
        digits: bytes = self._ids[shard].part(inside, 1).tobytes()
        return digits.hex()

    def find(self, beginning: str) -> list[int]:
        """The numbers of the documents of this split whose `id` begins so, in hexadecimal digits."""
        whole = np.frombuffer(bytes.fromhex(beginning[: len(beginning) // 2 * 2]), np.uint8)
        half = int(beginning[-1], 16) if len(beginning) % 2 else None
        found: list[int] = []
        for shard, first in zip(self._shards, self._first_document, strict=False):
            ids = self._map(shard, "ids").whole()
            matches = np.all(ids[:, : len(whole)] == whole, axis=1)
            if half is not None:
                matches &= ids[:, len(whole)] >> 4 == half
            found += (first + np.flatnonzero(matches)).tolist()
        return found

    def rows(self) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
        """For every shard, its name and which rows of the prepared shard its documents are, `[documents]`."""
        for shard in self._shards:
            yield shard.parent.name, self._map(shard, "rows").whole().astype(np.int64)

    def origin(self, number: int) -> tuple[str, int]:
        """The shard and the row in it where the prepared document stands."""
        shard, inside = self._place(number)
        return self._shards[shard].parent.name, int(self._map(self._shards[shard], "rows").part(inside, 1)[0])

    def _map(self, shard: Path, name: str, *, scattered: bool = False) -> MappedArray:
        return MappedArray(shard / f"{name}.npy", self._remedy, scattered=scattered)

    def _place(self, number: int) -> tuple[int, int]:
        if not 0 <= number < self.documents:
            raise IndexError(f"document {number} of {self.documents}")
        shard = bisect_right(self._first_document, number) - 1
        return shard, number - self._first_document[shard]


def _starts(counts: Iterable[int]) -> list[int]:
    """Where each begins, and where the last ends: a list, which Python searches in a tenth of the time of an array."""
    return list(accumulate(counts, initial=0))


SYNONYMS = {"perplexity": (PERPLEXITY, "nll")}
"""Scores that stand in a column of another name: the perplexity is the exponential of the mean negative log-likelihood,
which gives the same order."""


def read_column(corpus: SourceStore, tokens: TokenStore, step: str, column: str) -> pa.ChunkedArray:
    """A column of a step about the documents of `tokens`, `[documents]`.

    Raises SapwoodError where the step was not finished.
    """
    corpus.manifest(step)
    parts = []
    for shard, rows in tokens.rows():
        whole = corpus.column(shard, step, column)
        parts.append(whole.take(pa.array(rows)).combine_chunks())
    return pa.chunked_array(parts) if parts else pa.chunked_array([], pa.null())


def read_scores(corpus: SourceStore, tokens: TokenStore, score: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A score of the documents of `tokens`, `[documents]`; NaN where a document has none.

    Raises SapwoodError where no step of the source has such a score.
    """
    step, column = find_score(corpus, score)
    values = read_column(corpus, tokens, step, column).cast(pa.float64())
    return np.asarray(values.to_numpy(), np.float64)


def find_score(corpus: SourceStore, score: str) -> tuple[str, str]:
    """The step and the column of a score, which is called by its column's name.

    Raises SapwoodError, which lists the scores there are, where no finished step has a column of numbers of that name.
    """
    there: dict[str, tuple[str, str]] = {}
    for step in STEPS:
        for shard in corpus.shards()[:1] if corpus.has(step) else ():
            for field in corpus.schema(shard, step):
                if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                    there.setdefault(field.name, (step, field.name))
    there |= {name: place for name, place in SYNONYMS.items() if place in there.values()}
    if score not in there:
        raise SapwoodError(
            f"The documents of '{corpus.name}' cannot be ordered by '{score}': no step says it of them. "
            f"{closest(score, there)}"
        )
    return there[score]
