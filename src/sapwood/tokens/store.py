"""All token shards of one source and split as one long list of documents, read from memory maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.manifest import read_manifest
from sapwood.tokens.shard import token_shards


class Pieces(NamedTuple):
    """The documents that a stretch of tokens runs through, and what part of each."""

    documents: npt.NDArray[np.int64]
    """Their numbers, `[pieces]`."""
    starts: npt.NDArray[np.int64]
    """The first token inside the document, `[pieces]`."""
    lengths: npt.NDArray[np.int64]
    """Tokens, `[pieces]`; the sum is the length of the stretch."""


class TokenStore:
    """The documents of one source and split, numbered from 0 in the order of the shards.

    Every document ends with the end-of-text token, which counts as one of its tokens.
    """

    def __init__(self, directory: Path, split: str) -> None:
        """Opens the shards in `directory`. Raises SapwoodError where encoding was not finished."""
        if read_manifest(directory) is None:
            raise SapwoodError(f"The tokens in {directory} are not complete. Run `sapwood prepare` first.")
        self._shards = token_shards(directory, split)
        self._tokens = [_map(shard / "tokens.npy") for shard in self._shards]
        self._offsets = [_map(shard / "offsets.npy") for shard in self._shards]
        self._first_document = _starts([len(offsets) - 1 for offsets in self._offsets])
        self._first_token = _starts([len(tokens) for tokens in self._tokens])

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self._first_document[-1])

    @property
    def tokens(self) -> int:
        """How many tokens there are, end-of-text tokens among them."""
        return int(self._first_token[-1])

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of every document, `[documents]`."""
        return np.concatenate([np.empty(0, np.int64), *map(np.diff, self._offsets)])

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """The ids of tokens `start` to `stop` (not included) of all documents on end, `[stop - start]`."""
        if not 0 <= start <= stop <= self.tokens:
            raise IndexError(f"tokens {start} to {stop} of {self.tokens}")
        ids = np.empty(stop - start, np.int64)
        shard, filled = self._shard_of(self._first_token, start), 0
        while filled < len(ids):
            inside = start + filled - int(self._first_token[shard])
            part = self._tokens[shard][inside : inside + len(ids) - filled]
            ids[filled : filled + len(part)] = part
            filled += len(part)
            shard += 1
        return ids

    def pieces(self, start: int, stop: int) -> Pieces:
        """Which documents tokens `start` to `stop` (not included) belong to."""
        if not 0 <= start <= stop <= self.tokens:
            raise IndexError(f"tokens {start} to {stop} of {self.tokens}")
        found = []
        shard = self._shard_of(self._first_token, start)
        while start < stop:
            base = int(self._first_token[shard])
            end = min(stop, int(self._first_token[shard + 1]))
            offsets = self._offsets[shard]
            first = int(np.searchsorted(offsets, start - base, side="right")) - 1
            last = int(np.searchsorted(offsets, end - base, side="left"))
            edges = np.array(offsets[first : last + 1])
            cuts = np.clip(edges, start - base, end - base)
            numbers = np.arange(first, last, dtype=np.int64) + self._first_document[shard]
            found.append(Pieces(numbers, cuts[:-1] - edges[:-1], np.diff(cuts)))
            start = end
            shard += 1
        none = Pieces(*[np.empty(0, np.int64)] * 3)
        return Pieces(*map(np.concatenate, zip(none, *found, strict=True)))

    def document(self, number: int) -> npt.NDArray[np.int64]:
        """The ids of one document, without the end-of-text token."""
        shard, inside = self._place(number)
        start, stop = self._offsets[shard][inside : inside + 2]
        return self._tokens[shard][start : stop - 1].astype(np.int64)

    def document_id(self, number: int) -> str:
        """The document's `id` in the prepared source: 32 hexadecimal digits."""
        shard, inside = self._place(number)
        digits: bytes = _map(self._shards[shard] / "ids.npy")[inside].tobytes()
        return digits.hex()

    def _place(self, number: int) -> tuple[int, int]:
        if not 0 <= number < self.documents:
            raise IndexError(f"document {number} of {self.documents}")
        shard = self._shard_of(self._first_document, number)
        return shard, number - int(self._first_document[shard])

    @staticmethod
    def _shard_of(firsts: npt.NDArray[np.int64], number: int) -> int:
        return int(np.searchsorted(firsts, number, side="right")) - 1


def _map(path: Path) -> npt.NDArray[Any]:
    mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _starts(counts: list[int]) -> npt.NDArray[np.int64]:
    return np.cumsum([0, *counts], dtype=np.int64)
