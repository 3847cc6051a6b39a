"""Near-duplicates: items whose question was there before, word by word or nearly so, or in other words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from sapwood.corpus.characters import Hashes
from sapwood.corpus.duplicates import CopyIndex, Signatures, sign
from sapwood.corpus.ngrams import tokenise_with_signs
from sapwood.generation.client import Failure
from sapwood.generation.embed import Embedded
from sapwood.recipe.server import ModelServer
from sapwood.recipe.synthesis import NearDuplicates
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict

Vectors = npt.NDArray[np.float32]
"""`[texts, dimensions]`, each of length 1."""

Embed = Callable[[ModelServer, Sequence[str]], Embedded | Failure]
"""Asks a server of embeddings about many texts; a failure where one of them has no answer this time. What was asked
before costs nothing."""

_BLOCK = 1 << 14
"""Vectors that are compared at once."""


class Neighbours:
    """Vectors that others are compared with, kept in half precision."""

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.float16]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, vectors: Vectors) -> None:
        """Takes in vectors, numbered in the order in which they come."""
        self._size += len(vectors)
        halved = vectors.astype(np.float16)
        if self._blocks and len(self._blocks[-1]) + len(halved) <= _BLOCK:
            halved = np.concatenate([self._blocks.pop(), halved])
        self._blocks.append(halved)

    def nearest(self, vectors: Vectors, count: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """The numbers of the nearest to each vector and the cosines, `[vectors, count]`, the nearest first.

        Where there are fewer than `count`, as many as there are.
        """
        numbers = np.empty((len(vectors), 0), np.int64)
        cosines = np.empty((len(vectors), 0), np.float32)
        first = 0
        for block in self._blocks:
            found, places = _largest(vectors @ block.astype(np.float32).T, count)
            cosines, chosen = _largest(np.concatenate([cosines, found], axis=1), count)
            numbers = np.take_along_axis(np.concatenate([numbers, first + places], axis=1), chosen, axis=1)
            first += len(block)
        return numbers, cosines


def _largest(values: Vectors, count: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """The largest of each row, falling, and their places."""
    if values.shape[1] > count:
        places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    else:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return np.take_along_axis(values, places, axis=1), places


_CHUNK = 2000
"""Items that are taken in at once."""


class NearDuplicatesStage(Stage):
    """Of items that ask the same the first one passes. Items come in chunks, in an order that is always the same; they
    are compared with each other and with all that passed before."""

    name = "near_duplicates"

    def __init__(self, settings: NearDuplicates, embed: Embed) -> None:
        """`embed` is called where the settings name a server of embeddings."""
        self.settings = settings
        self.embed = embed
        self._index = CopyIndex(settings.similarity)
        self._neighbours = Neighbours()
        self._ids: list[str] = []
        self._lacking: Failure | None = None
        """Why an item that passed before has no vector: nothing can be compared with it."""

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        words = _words(items)
        verdicts: list[Verdict | Failure] = [*self._by_words([item.id for item in items], words)]
        rows = _passed(verdicts)
        embedded = self._lacking or self._embedded([items[row] for row in rows])
        if isinstance(embedded, Failure):
            return [embedded if row in rows else verdict for row, verdict in enumerate(verdicts)]
        vectors = None
        if embedded is not None:
            for number, failure in embedded.failures.items():
                verdicts[rows[number]] = failure
            rows = _passed(verdicts)
            if rows:
                compared = self._by_meaning([items[row].id for row in rows], embedded.vectors)
                for row, verdict in zip(rows, compared, strict=True):
                    verdicts[row] = verdict
                vectors = embedded.vectors[[verdict.passed for verdict in compared]]
        rows = _passed(verdicts)
        self._take([items[row].id for row in rows], _Words(words.hashes[rows], words.signatures[rows]), vectors)
        return list(verdicts)

    def remember(self, items: Iterable[Item]) -> None:
        """Takes in items that passed this stage before the work was stopped."""
        left = iter(items)
        while chunk := list(itertools.islice(left, _CHUNK)):
            embedded = self._embedded(chunk)
            if isinstance(embedded, Failure):
                self._lacking = embedded
            elif embedded is not None and embedded.failures:
                self._lacking = Failure(next(iter(embedded.failures.values())).reason)
            else:
                vectors = None if embedded is None else embedded.vectors
                self._take([item.id for item in chunk], _words(chunk), vectors)

    def _take(self, ids: Sequence[str], words: _Words, vectors: Vectors | None) -> None:
        self._ids.extend(ids)
        self._index.keep(*words)
        if vectors is not None:
            self._neighbours.add(vectors)

    def _embedded(self, items: Sequence[Item]) -> Embedded | Failure | None:
        server = self.settings.embedding
        return None if server is None or not items else self.embed(server, [asked(item) for item in items])

    def _by_words(self, ids: Sequence[str], words: _Words) -> list[Verdict]:
        found = self._index.find(*words)
        every = [*self._ids, *ids]
        return [
            Verdict(passed=True) if keeper == number else _copy("near-duplicate", float(similarity), every[keeper])
            for number, (keeper, similarity) in enumerate(
                zip(found.keepers.tolist(), found.similarities, strict=True), len(self._ids)
            )
        ]

    def _by_meaning(self, ids: Sequence[str], vectors: Vectors) -> list[Verdict]:
        before, cosines = self._neighbours.nearest(vectors, 1)
        among = vectors @ vectors.T
        kept: list[int] = []
        verdicts = []
        for row in range(len(ids)):
            twins = [(float(cosines[row, 0]), self._ids[before[row, 0]])] if len(self._ids) else []
            if kept:
                nearest = kept[int(among[row, kept].argmax())]
                twins.append((float(among[row, nearest]), ids[nearest]))
            cosine, twin = max(twins, default=(None, ""))
            if cosine is not None and cosine >= self.settings.cosine:
                verdicts.append(_copy("the same in other words", cosine, twin))
            else:
                verdicts.append(Verdict(passed=True, score=cosine))
                kept.append(row)
        return verdicts


def asked(item: Item) -> str:
    """What an item asks: the question with its options."""
    return "\n".join([item.question, *item.choices])


class _Words(NamedTuple):
    hashes: Hashes
    """Of all words and signs of each item: x + y is not x - y."""
    signatures: Signatures


def _words(items: Sequence[Item]) -> _Words:
    texts = [asked(item) for item in items]
    hashes = [xxhash.xxh3_64_intdigest(tokenise_with_signs(text).hashes.tobytes()) for text in texts]
    return _Words(np.array(hashes, np.uint64), sign(texts))


def _passed(verdicts: Sequence[Verdict | Failure]) -> list[int]:
    return [row for row, verdict in enumerate(verdicts) if isinstance(verdict, Verdict) and verdict.passed]


def _copy(reason: str, similarity: float, twin: str) -> Verdict:
    return Verdict(passed=False, reason=reason, score=similarity, detail={"copy_of": twin})
