"""Finds copies among texts of which the first stays: the same text, or nearly the same.

Candidates for near copies are found by banded signatures (locality-sensitive hashing; Leskovec et al., Mining of
Massive Datasets, chapter 3), and each is compared with the text that would stay in its place: nothing is dropped that
is not itself similar to what is kept, however long the chain of similar texts between them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sapwood.corpus.characters import Hashes
from sapwood.corpus.signatures import VALUES, Signatures

RECALL = 0.995
"""The least chance that a pair just as similar as asked for becomes a candidate."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Copies:
    """What was found among documents in an order of priority, numbered from 0."""

    keepers: Numbers
    """For every document, the number of the one that stays in its place; its own, if it stays."""
    similarities: npt.NDArray[np.float32]
    """For every document, its similarity to that one: 1 for equal texts, else as the signatures estimate it."""


def find_copies(text_hashes: Hashes, signatures: Signatures | None, similarity: float) -> Copies:
    """Finds the copies among documents of which the first stays; `signatures` is None where near ones do not count."""
    _, first, inverse = np.unique(text_hashes, return_index=True, return_inverse=True)
    keepers = first[inverse].astype(np.int64)
    similarities = np.ones(len(keepers), np.float32)
    if signatures is not None and len(keepers):
        unique = np.flatnonzero(keepers == np.arange(len(keepers)))
        neighbours = _neighbours(signatures, unique, similarity)
        for document in sorted(neighbours):
            for other in sorted({int(keepers[earlier]) for earlier in neighbours[document]}):
                estimate = float((signatures[document] == signatures[other]).mean())
                if estimate >= similarity:
                    keepers[document], similarities[document] = other, estimate
                    break
        # Equal texts follow the first of them, which may be a near copy of an earlier one itself.
        similarities = similarities[first[inverse]]
        keepers = keepers[first[inverse]]
    return Copies(keepers, similarities)


class CopyIndex:
    """Documents that stay, with which others are compared that come later, chunk by chunk.

    About 780 bytes a document: its signature, and a place in every band.
    """

    def __init__(self, similarity: float) -> None:
        self.similarity = similarity
        rows = band_rows(similarity)
        self._bands = [slice(start, start + rows) for start in range(0, VALUES - rows + 1, rows)]
        self._hashes = np.empty(0, np.uint64)
        self._signatures = np.empty((0, VALUES), np.uint32)
        self._keys = [np.empty(0, np.uint32) for _ in self._bands]
        """Of every band, sorted; equal ones in the order in which their documents came."""
        self._numbers = [np.empty(0, np.int32) for _ in self._bands]

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, text_hashes: Hashes, signatures: Signatures) -> Copies:
        """Finds the copies in a chunk, of which nothing is kept yet.

        Keepers are numbered: those of the index first, in the order in which they came, then those of the chunk.
        """
        earlier = self._candidates(text_hashes, signatures)
        found = find_copies(
            np.concatenate([self._hashes[earlier], text_hashes]),
            np.concatenate([self._signatures[earlier], signatures]),
            self.similarity,
        )
        numbers = np.concatenate([earlier, len(self) + np.arange(len(text_hashes))])
        return Copies(numbers[found.keepers[len(earlier) :]], found.similarities[len(earlier) :])

    def keep(self, text_hashes: Hashes, signatures: Signatures) -> None:
        """Takes in documents, in order."""
        new = np.arange(len(self), len(self) + len(text_hashes), dtype=np.int32)
        self._hashes = np.concatenate([self._hashes, text_hashes])
        self._signatures = np.concatenate([self._signatures, signatures])
        for number, band in enumerate(self._bands):
            keys = _short_keys(signatures[:, band])
            order = np.argsort(keys, kind="stable")
            places = np.searchsorted(self._keys[number], keys[order], side="right")
            self._keys[number] = np.insert(self._keys[number], places, keys[order])
            self._numbers[number] = np.insert(self._numbers[number], places, new[order])

    def _candidates(self, text_hashes: Hashes, signatures: Signatures) -> Numbers:
        """Those that have a text or a band with one of the chunk in common: of each band the first and the last."""
        found: list[npt.NDArray[Any]] = [np.flatnonzero(np.isin(self._hashes, text_hashes))]
        for number, band in enumerate(self._bands):
            keys = np.unique(_short_keys(signatures[:, band]))
            first = np.searchsorted(self._keys[number], keys, side="left")
            behind = np.searchsorted(self._keys[number], keys, side="right")
            there = behind > first
            found += [self._numbers[number][first[there]], self._numbers[number][behind[there] - 1]]
        return np.unique(np.concatenate(found)).astype(np.int64)


def _short_keys(rows: Signatures) -> npt.NDArray[np.uint32]:
    """Keys of half the size: rows that differ may share one, which costs a comparison and nothing else."""
    return _keys(rows).astype(np.uint32)


def band_rows(similarity: float, values: int = VALUES) -> int:
    """The most rows a band can have so that a pair with this similarity shares a band with a chance of `RECALL`.

    With r rows there are b = values // r bands, and the chance is 1 - (1 - s^r)^b. More rows give fewer candidates.
    """
    chances = {rows: 1 - (1 - similarity**rows) ** (values // rows) for rows in range(1, values + 1)}
    return max((rows for rows, chance in chances.items() if chance >= RECALL), default=1)


def _neighbours(signatures: Signatures, documents: Numbers, similarity: float) -> dict[int, set[int]]:
    """For documents that share a band with earlier ones and look similar to them: these.

    In a band, a document is compared with the first and with the one before it: enough to link all that are alike,
    without comparing all with all where many are equal in a band.
    """
    rows = band_rows(similarity)
    found: dict[int, set[int]] = defaultdict(set)
    for start in range(0, VALUES - rows + 1, rows):
        keys = _keys(signatures[:, start : start + rows][documents])
        order = np.argsort(keys, kind="stable")
        same = np.concatenate([[False], keys[order][1:] == keys[order][:-1]])
        firsts = order[np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))]
        befores = np.concatenate([order[:1], order[:-1]])
        later = documents[order[same]]
        for earlier in (documents[firsts[same]], documents[befores[same]]):
            for chunk in range(0, len(later), 1 << 16):
                pair = slice(chunk, chunk + (1 << 16))
                alike = (signatures[later[pair]] == signatures[earlier[pair]]).mean(axis=1) >= similarity
                for document, other in zip(later[pair][alike].tolist(), earlier[pair][alike].tolist(), strict=True):
                    found[document].add(other)
    return found


def _keys(rows: Signatures) -> npt.NDArray[np.uint64]:
    """One number for each row of a band."""
    keys = np.zeros(len(rows), np.uint64)
    for column in range(rows.shape[1]):
        keys = (keys ^ rows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(32)
    return keys
