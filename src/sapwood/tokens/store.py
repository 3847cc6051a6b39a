"""All token shards of one source and split as one long list of documents, read from memory maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapwood.arrays import MappedArray
from sapwood.errors import SapwoodError
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
        self._first_document = _starts([len(offsets) - 1 for offsets in self._offsets])
        self._first_token = _starts([len(tokens) for tokens in self._tokens])
        written = manifest.counts.get(f"{split}_tokens", self.tokens)
        if self.tokens != written:
            raise SapwoodError(
                f"{directory} is damaged: its shards have {self.tokens:,} tokens, and had {written:,}. {self._remedy}"
            )

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self._first_document[-1])

    @property
    def tokens(self) -> int:
        """How many tokens there are, those that begin and end texts among them."""
        return int(self._first_token[-1])

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
        shard = self._shard_of(self._first_document, number)
        return shard, number - int(self._first_document[shard])

    @staticmethod
    def _shard_of(firsts: npt.NDArray[np.int64], number: int) -> int:
        return int(np.searchsorted(firsts, number, side="right")) - 1


def _starts(counts: list[int]) -> npt.NDArray[np.int64]:
    return np.cumsum([0, *counts], dtype=np.int64)
