"""The n-grams of benchmark items, and the items that a text holds.

A text of an item (its question, its passage, its solution) is found by its n-grams alone, of which one place must hold
a certain share. Texts too short for that (questions of exams, options) are found together and never across their ends,
because every page puts its own labels between them: where an n-gram of one of them stands, all are looked for nearby.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sapwood.corpus.characters import Hashes
from sapwood.corpus.ngrams import Tokens, is_unspaced, raw_ngram_hashes, tokenise

RULE_VERSION = 2
"""Goes up when other items are found in the same documents."""
COMMON_ITEMS = 4
"""An n-gram that stands in more items than these belongs to none of them (YuLan-Mini, arXiv 2412.17743)."""
SHORT_NGRAM = 5
"""The n of short texts: by it they are looked for where none of an item's is longer, and compared."""
SHORT_SHARE = 0.5
"""The least share of the words of an item's short texts that one place must hold, and more than half of the texts."""
SURE_WORDS = 10
"""Short texts of so many words that are there as a whole are enough, if they are half of the item: one, or several in
one place, such as a problem and its question."""
WHOLE = 0.9
"""The share of the tokens of a text that must be there for it to count as held."""
LEAST_GAP = 8
"""So many tokens may stand between two pieces in one place, and at least n."""
LEAST_WORDS = 4
"""So many words must be held. Two texts of so many are enough, too: an item may have more than a page shows."""
WORD_CHARACTERS = 3
"""A token of fewer characters, such as a number, is worth a quarter of a word; a letter of a script without spaces is
worth half of one."""

_FILTER_BITS = (16, 26)
_LABEL = re.compile(r"\s*[(（\[【]?\s*\w\s*[)）\]】.．、:：](?!\d)")
"""What stands before an option, which is left out."""
_LABELS = re.compile(
    r"(?<!\w)[(（\[【]?\s*([A-J]|[a-j]|[1-9]|[①-⑨])\s*[)）\]】.．、:：](?!\d)|(?<=[^\W\da-zA-Z])([A-J])[.．、:：]"
)

Numbers = npt.NDArray[np.int64]


class Item(NamedTuple):
    """A benchmark item."""

    benchmark: str
    """The name of its file, without endings."""
    number: int
    """Its row in the file, counted from 0."""
    texts: tuple[str, ...]
    """Every text in it."""
    converted: tuple[str, ...] = ()
    """The same as it is after conversion into the script of Chinese sources, where that changes it."""


class Hit(NamedTuple):
    """A benchmark item that a document holds."""

    benchmark: str
    item: int
    overlap: float
    """The share of the n-grams of one of the item's texts that stand in one place of the document; of an item's short
    texts, the share of their tokens."""
    start: int
    """Where that place begins, in characters."""
    end: int


class _Place(NamedTuple):
    share: float
    first: int
    """The first token."""
    last: int


class _Piece(NamedTuple):
    """A run of a short text that stands in a document."""

    start: int
    """The first token, in the document."""
    end: int
    text: int
    offset: int
    """The first token, in the short text."""


class _Long(NamedTuple):
    """A text of an item that is found by itself."""

    item: tuple[str, int]
    size: int
    """How many different n-grams it has that count."""

    def find(self, tokens: Hashes, positions: Numbers, grams: Numbers, ngram: int, overlap: float) -> _Place | None:
        """The place that holds most of it: the share of its n-grams there.

        N-grams are in one place as long as no more than two n-grams' length lies between them and the next.
        """
        best = _Place(0.0, 0, 0)
        for part in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) > 2 * ngram) + 1):
            share = len(np.unique(grams[part])) / self.size
            if share > best.share:
                best = _Place(share, int(positions[part[0]]), int(positions[part[-1]]) + ngram - 1)
        return best if best.share >= overlap else None


class _Short(NamedTuple):
    """The short texts of an item, which are found together."""

    item: tuple[str, int]
    texts: tuple[Hashes, ...]
    """Tokens of each."""
    words: tuple[npt.NDArray[np.float64], ...]
    """How many words each token is worth."""
    vocabulary: Hashes
    """The different tokens of all texts, ascending."""
    worth: npt.NDArray[np.float64]
    """How many words each of these is worth, in all places together."""

    def find(self, tokens: Hashes, positions: Numbers, grams: Numbers, ngram: int, overlap: float) -> _Place | None:
        """The place that holds most of them, looked for around the positions where an n-gram of one stands.

        Between pieces in one place stand the labels of options, in whatever layout, and no more than `LEAST_GAP`.
        """
        gap = max(ngram, LEAST_GAP)
        reach = sum(map(len, self.texts)) + gap * len(self.texts)
        best: _Place | None = None
        for part in np.split(positions, np.flatnonzero(np.diff(positions) > reach) + 1):
            begin = max(0, int(part[0]) - reach)
            near = tokens[begin : int(part[-1]) + reach]
            if not self._may_be_in(near):
                continue
            for place in self._places(near, gap):
                if place.share >= max(overlap, SHORT_SHARE) and (best is None or place.share > best.share):
                    best = _Place(place.share, begin + place.first, begin + place.last)
        return best

    def _may_be_in(self, tokens: Hashes) -> bool:
        """Whether enough of the words are there, in whatever order: one look, after which few are left."""
        # By bisection: `np.isin` sorts both sides, and took a fifth of a whole search.
        places = np.minimum(np.searchsorted(self.vocabulary, tokens), len(self.vocabulary) - 1)
        there = np.zeros(len(self.vocabulary), bool)
        there[places[self.vocabulary[places] == tokens]] = True
        return bool(self.worth[there].sum() >= SHORT_SHARE * self.worth.sum())

    def _places(self, tokens: Hashes, gap: int) -> Iterator[_Place]:
        """All places where enough is held."""
        pieces = sorted(self._pieces(tokens))
        while pieces:
            end, count = pieces[0].end, 1
            while count < len(pieces) and pieces[count].start <= end + gap:
                end = max(end, pieces[count].end)
                count += 1
            share = self._held(pieces[:count])
            if share is not None:
                yield _Place(share, pieces[0].start, end - 1)
            pieces = pieces[count:]

    def _pieces(self, tokens: Hashes) -> Iterator[_Piece]:
        """What is there of the texts."""
        windows: dict[int, Hashes] = {}
        for number, text in enumerate(self.texts):
            length = min(SHORT_NGRAM, len(text))
            if length not in windows:
                windows[length] = _grams(tokens, length)
            same = _grams(text, length)[:, None] == windows[length]
            for offset, position in np.argwhere(same).tolist():
                yield _Piece(position, position + length, number, offset)

    def _held(self, pieces: Sequence[_Piece]) -> float | None:
        """The share of the words that the pieces hold; None where that is not enough."""
        held = [np.zeros(len(text), bool) for text in self.texts]
        there: set[int] = set()
        for piece in pieces:
            held[piece.text][piece.offset : piece.offset + piece.end - piece.start] = True
            there.update(range(piece.start, piece.end))
        # What several texts have in common is there once for each that is held.
        once = min(1.0, len(there) / sum(int(part.sum()) for part in held))
        words = once * sum(float(words[part].sum()) for words, part in zip(self.words, held, strict=True))
        share = words / sum(float(words.sum()) for words in self.words)
        worth = [float(words.sum()) for words in self.words]
        whole = [value for value, part in zip(worth, held, strict=True) if part.sum() >= WHOLE * len(part)]
        sure = once * sum(whole) >= SURE_WORDS
        several = 2 * len(whole) > len(held) > 1 or sum(value >= LEAST_WORDS for value in whole) > 1
        return share if words >= LEAST_WORDS and share >= SHORT_SHARE and (sure or several) else None


@dataclass(frozen=True, slots=True)
class _Grams:
    """Hashes of n-grams, and which texts each belongs to."""

    ngram: int
    hashes: Hashes
    """Sorted, each once."""
    offsets: Numbers
    """Where the owners of each n-gram begin in `owners`, `[hashes + 1]`."""
    owners: npt.NDArray[np.int32]
    """Numbers of texts."""
    filter: npt.NDArray[np.uint8]
    """Whether any n-gram has a hash with these low bits, eight a byte: a hundredth of all others does."""

    @staticmethod
    def build(ngram: int, owners: Sequence[tuple[int, int, Hashes]]) -> _Grams:
        """Of texts: their item and their text, by number, and their n-grams. Those in many items are left out."""
        hashes = np.concatenate([np.empty(0, np.uint64), *(grams for _, _, grams in owners)])
        sizes = [len(grams) for _, _, grams in owners]
        items = np.repeat(np.array([item for item, _, _ in owners], np.int64), sizes)
        texts = np.repeat(np.array([text for _, text, _ in owners], np.int32), sizes)
        order = np.lexsort((texts, items, hashes))
        hashes, items, texts = hashes[order], items[order], texts[order]
        first = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
        another = first | np.append(True, items[1:] != items[:-1])[: len(hashes)]
        gram = np.cumsum(first) - 1
        rare = np.bincount(gram[another], minlength=1)[gram] <= COMMON_ITEMS
        unique, starts = np.unique(hashes[rare], return_index=True)
        bits = min(max((64 * len(unique)).bit_length(), _FILTER_BITS[0]), _FILTER_BITS[1])
        found = np.zeros(1 << (bits - 3), np.uint8)
        places, inside = _places(unique, found)
        np.bitwise_or.at(found, places, np.left_shift(np.uint8(1), inside))
        return _Grams(ngram, unique, np.append(starts, rare.sum()).astype(np.int64), texts[rare], found)

    def find(self, hashes: Hashes) -> Iterator[tuple[int, Numbers, Numbers]]:
        """For every text of which an n-gram is among a document's: its number, the positions, ascending, and which."""
        # Nearly all n-grams of nearly all texts are in no benchmark, which the filter sees in one look.
        at, inside = _places(hashes, self.filter)
        positions = np.flatnonzero(np.right_shift(self.filter[at], inside) & np.uint8(1))
        places = np.minimum(np.searchsorted(self.hashes, hashes[positions]), len(self.hashes) - 1)
        held = self.hashes[places] == hashes[positions]
        positions, places = positions[held], places[held]
        if not len(positions):
            return
        counts = self.offsets[places + 1] - self.offsets[places]
        repeated = np.repeat(np.arange(len(places)), counts)
        inside = np.arange(len(repeated)) - np.repeat(np.cumsum(counts) - counts, counts)
        owners = self.owners[self.offsets[places][repeated] + inside]
        order = np.argsort(owners, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
            yield int(owners[part[0]]), positions[repeated[part]], places[repeated[part]]


@dataclass(frozen=True, slots=True)
class BenchmarkIndex:
    """What is needed to find the items of benchmarks."""

    grams: tuple[_Grams, ...]
    texts: tuple[_Long | _Short, ...]

    @staticmethod
    def build(items: Iterable[Item], ngram: int) -> BenchmarkIndex:
        """A text of 2n - 1 tokens is found by itself; shorter ones of an item together.

        An item without any n-gram of its own, of `ngram` tokens or of `SHORT_NGRAM`, cannot be found.
        """
        texts: list[_Long | _Short] = []
        owners: dict[int, list[tuple[int, int, Hashes]]] = {min(ngram, SHORT_NGRAM): [], ngram: []}
        written = ((number, item, form) for number, item in enumerate(items) for form in (item.texts, item.converted))
        for number, item, form in written:
            name = (item.benchmark, item.number)
            together: list[tuple[str, Tokens]] = []
            groups = [together]
            for text in form:
                tokens = tokenise(text, variants=True)
                if len(tokens.hashes) >= 2 * ngram - 1:
                    owners[ngram].append((number, len(texts), np.unique(_grams(tokens.hashes, ngram))))
                    texts.append(_Long(name, 0))
                    groups.append([(part, tokenise(part, variants=True)) for part in _options(text)])
                elif label := _LABEL.match(text):
                    together.append((option := text[label.end() :], tokenise(option, variants=True)))
                else:
                    together.append((text, tokens))
            for short in (_short(name, group) for group in groups if group):
                longest = max(map(len, short.texts), default=0)
                own = ngram if longest >= ngram else min(ngram, SHORT_NGRAM)
                if longest >= own:
                    grams = np.unique(np.concatenate([_grams(tokens, own) for tokens in short.texts]))
                    owners[own].append((number, len(texts), grams))
                    texts.append(short)
        tables = tuple(_Grams.build(length, found) for length, found in owners.items() if found)
        sizes = np.zeros(len(texts), np.int64)
        for table in tables:
            sizes += np.bincount(table.owners, minlength=len(texts))
        return BenchmarkIndex(
            tables,
            tuple(
                text._replace(size=size) if isinstance(text, _Long) else text
                for text, size in zip(texts, sizes.tolist(), strict=True)
            ),
        )

    def find(self, text: str, overlap: float) -> list[Hit]:
        """The items of which the text holds at least the share `overlap` in one place, in the order of the benchmarks.

        Of an item of which several texts are held, the one with the greatest share is named.
        """
        if not self.texts:
            return []
        tokens = tokenise(text, variants=True)
        found: dict[tuple[str, int], _Place] = {}
        lengths = [table.ngram for table in self.grams]
        for table, hashes in zip(self.grams, raw_ngram_hashes(tokens.hashes, lengths), strict=True):
            for owner, positions, grams in table.find(hashes):
                known = self.texts[owner]
                place = known.find(tokens.hashes, positions, grams, table.ngram, overlap)
                if place is not None and (known.item not in found or place.share > found[known.item].share):
                    found[known.item] = place
        return [
            Hit(*item, round(place.share, 4), int(tokens.starts[place.first]), int(tokens.ends[place.last]))
            for item, place in sorted(found.items())
        ]

    def findable(self) -> set[tuple[str, int]]:
        """The benchmark and the number of every item that can be found."""
        return {self.texts[owner].item for table in self.grams for owner in np.unique(table.owners).tolist()}


def _places(hashes: Hashes, filter: npt.NDArray[np.uint8]) -> tuple[Numbers, npt.NDArray[np.uint8]]:
    """Where hashes stand in a filter: bytes, and bits in these."""
    places = hashes & np.uint64(8 * len(filter) - 1)
    return (places >> np.uint64(3)).view(np.int64), (places & np.uint64(7)).astype(np.uint8)


def _grams(tokens: Hashes, ngram: int) -> Hashes:
    return next(raw_ngram_hashes(tokens, [ngram]))


def _short(item: tuple[str, int], texts: Iterable[tuple[str, Tokens]]) -> _Short:
    """Each different text once."""
    found: dict[bytes, tuple[Hashes, npt.NDArray[np.float64]]] = {}
    for text, tokens in texts:
        if len(tokens.hashes):
            words = np.where(tokens.ends - tokens.starts < WORD_CHARACTERS, 0.25, 1.0)
            words[is_unspaced(text, tokens)] = 0.5
            found[tokens.hashes.tobytes()] = tokens.hashes, words
    parts = [np.empty(0, np.uint64), *(tokens for tokens, _ in found.values())]
    vocabulary, places = np.unique(np.concatenate(parts), return_inverse=True)
    worth = np.zeros(len(vocabulary))
    np.add.at(worth, places, np.concatenate([np.empty(0), *(words for _, words in found.values())]))
    return _Short(item, tuple(parts[1:]), tuple(words for _, words in found.values()), vocabulary, worth)


def _options(text: str) -> list[str]:
    """The question and the options of a text that has both; nothing for another text."""
    places: list[tuple[int, int]] = []
    wanted = ""
    for label in _LABELS.finditer(text):
        sign = label[1] or label[2]
        if sign in ("A", "a", "1", "①"):
            places, wanted = [], sign
        if sign == wanted:
            places.append(label.span())
            wanted = chr(ord(sign) + 1)
    if len(places) < 2:
        return []
    begins, ends = [0, *(end for _, end in places)], [*(start for start, _ in places), len(text)]
    return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
