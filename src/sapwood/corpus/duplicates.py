"""Finds documents that were there before, in whatever source: the same text, or nearly the same.

All documents are put into one order, by the priority of their sources; of documents that are duplicates of each other
the first stays (`duplicates`).
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datatrove.data import Document

from sapwood.corpus.annotate import OUTPUTS, Step, finish_step
from sapwood.corpus.block import Annotator, is_filtered
from sapwood.corpus.characters import WORDS_VERSION, Hashes
from sapwood.corpus.ngrams import ngram_hashes, tokenise, tokenise_with_signs
from sapwood.corpus.store import DOCUMENTS, DUPLICATES, REASON, SIGNATURES, SourceStore, from_hexadecimal, write_shard
from sapwood.progress import track
from sapwood.recipe.data import Duplicates
from sapwood.runs.manifest import Manifest, begin, finished

SHINGLE_TOKENS = 5
SHORT_TOKENS = 64
"""Signs count in texts of fewer tokens. In longer ones a sign is worth less than a word, which may differ, too."""
LETTERED_SHARE = 0.25
"""Signs count in texts of which less is letters. Of programs about two fifths are."""
VALUES = 128
"""Values in a signature, of 32 bits each."""
SEED = 1
"""Decides all signatures; those of other seeds cannot be compared."""

_BATCH = 256

Signatures = npt.NDArray[np.uint32]
"""`[documents, VALUES]`."""


def sign(texts: Iterable[str]) -> Signatures:
    """The signature of every text."""
    from rensa import RMinHash

    shingles = [shingle_hashes(text) for text in texts]
    flat = np.concatenate([np.empty(0, np.uint64), *shingles])
    offsets = np.cumsum([0, *map(len, shingles)], dtype=np.uint64)
    rows = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, VALUES, SEED).to_rows()
    return np.array(rows, np.uint32).reshape(len(shingles), VALUES)


def shingle_hashes(text: str) -> Hashes:
    """The shingles of a text. One of fewer tokens than a shingle is one shingle by itself."""
    tokens = compared_tokens(text)
    return ngram_hashes(tokens, min(SHINGLE_TOKENS, len(tokens)))


def compared_tokens(text: str) -> Hashes:
    """What a text is compared by: its tokens, with signs where they count, or else itself, `[tokens]`; never empty."""
    tokens = tokenise(text)
    if not len(tokens.hashes):
        return np.array([xxhash.xxh3_64_intdigest(text.encode())], np.uint64)
    letters = int((tokens.ends - tokens.starts).sum())
    if len(tokens.hashes) < SHORT_TOKENS or letters < LETTERED_SHARE * len(text):
        return tokenise_with_signs(text).hashes
    return tokens.hashes


class Sign(Annotator):
    """Gives every document its signature."""

    columns: ClassVar[dict[str, pa.DataType]] = {"signature": pa.binary(4 * VALUES)}

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = iter(data or ())
        while batch := list(itertools.islice(documents, _BATCH)):
            wanted = [document for document in batch if not is_filtered(document)]
            for document, signature in zip(wanted, sign(document.text for document in wanted), strict=True):
                document.metadata["signature"] = signature.tobytes()
            yield from batch

    def annotate(self, document: Document) -> None:
        (signature,) = sign([document.text])
        document.metadata["signature"] = signature.tobytes()


def signatures_step(after: tuple[str, ...]) -> Step:
    """The step that signs all documents that are still there."""
    settings: dict[str, Any] = {
        "words": WORDS_VERSION,
        "shingle_tokens": SHINGLE_TOKENS,
        "values": VALUES,
        "seed": SEED,
        "by": _algorithm(),
    }
    return Step(name=SIGNATURES, annotator=Sign(), settings=settings, after=after)


def _algorithm() -> str:
    """Which signatures rensa makes: those of other versions of its algorithm cannot be compared."""
    from rensa import RMinHash

    return f"rensa R-MinHash {RMinHash.ALGORITHM_VERSION}"


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
    """Finds the duplicates among documents of which the first stays; `signatures` is None where near ones do not
    count."""
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
        # Equal texts follow the first of them, which may be a near-duplicate of an earlier one itself.
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
        """Finds the duplicates in a chunk, of which nothing is kept yet.

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


SCHEMA = pa.schema(
    [
        pa.field("copy_of", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("similarity", pa.float32()),
        pa.field(REASON, pa.string()),
    ]
)


def find_duplicates(
    stores: Sequence[SourceStore],
    after: Mapping[str, tuple[str, ...]],
    settings: Duplicates,
    evaluation_only: Sequence[str],
) -> dict[str, Manifest]:
    """Runs the step over all sources together, unless that was done before with the same inputs and settings.

    `after` are the steps, by source, whose reasons count: documents that one of them filtered take no part. Of copies
    the one in an evaluation-only source stays, then that in the first source of `settings.priority`, then that in the
    first of `stores`; in one source, the first.

    In the manifests, `counts` and `reasons` are as in `annotate`. Raises SapwoodError where a step before was not done.
    """
    ordered = _by_priority(stores, settings, evaluation_only)
    planned = _plan(ordered, after, settings)
    done = {store.name: finished(store.step(DUPLICATES), planned[store.name]) for store in stores}
    manifests = {name: manifest for name, manifest in done.items() if manifest is not None}
    if len(manifests) == len(stores):
        return manifests
    started = time.monotonic()
    with track("duplicates", sum(store.manifest(DOCUMENTS).counts["documents"] for store in stores)) as advance:
        documents = _load(ordered, after, near=settings.near)
        copies = find_copies(documents.text_hashes, documents.signatures, settings.similarity)
        sizes = np.bincount(copies.keepers, minlength=len(copies.keepers))
        for number, store in enumerate(ordered):
            begin(store.step(DUPLICATES), planned[store.name], OUTPUTS)
            for shard, table, account in _tables(store, number, documents, copies, sizes, [s.name for s in ordered]):
                path = store.step(DUPLICATES) / f"{shard}.parquet"
                if not path.exists():
                    write_shard(path, table, account)
                advance(table.num_rows)
    seconds = (time.monotonic() - started) / len(stores)
    return {store.name: finish_step(store, planned[store.name], seconds) for store in stores}


@dataclass(frozen=True, slots=True)
class _Documents:
    """The documents that take part, in order of priority."""

    text_hashes: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.uint8]
    """`[documents, 16]`"""
    signatures: Signatures | None
    sources: npt.NDArray[np.int32]
    """The number of each one's source."""
    rows: dict[tuple[int, str], tuple[int, npt.NDArray[np.bool_]]]
    """For every source and shard, the number of its first document here, and which of its rows take part."""


def _load(stores: Sequence[SourceStore], after: Mapping[str, tuple[str, ...]], *, near: bool) -> _Documents:
    hashes, ids, signatures, sources = [], [], [], []
    rows: dict[tuple[int, str], tuple[int, npt.NDArray[np.bool_]]] = {}
    reached = 0
    for number, store in enumerate(stores):
        columns = {DOCUMENTS: ["id", "text_hash"], **{step: [REASON] for step in after[store.name]}}
        if near:
            columns[SIGNATURES] = ["signature"]
        for shard in store.shards():
            parts = []
            for batch in store.read(shard, columns):
                alive = np.ones(len(batch["id"]), bool)
                for step in after[store.name]:
                    alive &= batch[f"{step}.{REASON}"].is_null().to_numpy(zero_copy_only=False)
                parts.append(alive)
                chosen = pa.table(batch).filter(pa.array(alive))
                hashes.append(from_hexadecimal(chosen["text_hash"], ">u8").astype(np.uint64))
                ids.append(from_hexadecimal(chosen["id"], np.uint8).reshape(-1, 16))
                if near:
                    values = b"".join(chosen[f"{SIGNATURES}.signature"].to_pylist())
                    signatures.append(np.frombuffer(values, np.uint32).reshape(-1, VALUES))
            taking_part = np.concatenate([np.empty(0, bool), *parts])
            rows[number, shard] = reached, taking_part
            reached += int(taking_part.sum())
            sources.append(np.full(int(taking_part.sum()), number, np.int32))
    return _Documents(
        text_hashes=np.concatenate([np.empty(0, np.uint64), *hashes]),
        ids=np.concatenate([np.empty((0, 16), np.uint8), *ids]),
        signatures=np.concatenate([np.empty((0, VALUES), np.uint32), *signatures]) if near else None,
        sources=np.concatenate([np.empty(0, np.int32), *sources]),
        rows=rows,
    )


def _tables(
    store: SourceStore, number: int, documents: _Documents, copies: Copies, sizes: Numbers, names: Sequence[str]
) -> Iterator[tuple[str, pa.Table, dict[str, Any]]]:
    """What is to be written for every shard of a source: its name, the columns, and the account."""
    for shard in store.shards():
        first, taking_part = documents.rows[number, shard]
        columns: dict[str, list[Any]] = {name: [None] * len(taking_part) for name in SCHEMA.names}
        counts = {"documents": int(taking_part.sum()), "bytes": 0, "dropped": 0, "dropped_bytes": 0}
        reasons: dict[str, int] = defaultdict(int)
        lengths: list[int] = []
        for batch in store.read(shard, {DOCUMENTS: ["text"]}):
            lengths += pc.binary_length(batch["text"]).to_pylist()
        for document, row in enumerate(np.flatnonzero(taking_part).tolist(), first):
            keeper = int(copies.keepers[document])
            columns["cluster_size"][row] = int(sizes[keeper])
            counts["bytes"] += lengths[row]
            if keeper == document:
                continue
            kind = (
                "exact duplicate"
                if documents.text_hashes[document] == documents.text_hashes[keeper]
                else "near-duplicate"
            )
            source = names[documents.sources[keeper]]
            reason = kind if source == store.name else f"{kind} of a document in {source}"
            columns["copy_of"][row] = documents.ids[keeper].tobytes().hex()
            columns["similarity"][row] = float(copies.similarities[document])
            columns[REASON][row] = reason
            reasons[reason] += 1
            counts["dropped"] += 1
            counts["dropped_bytes"] += lengths[row]
        yield shard, pa.table(columns, schema=SCHEMA), {"counts": counts, "reasons": dict(reasons)}


def _by_priority(
    stores: Sequence[SourceStore], settings: Duplicates, evaluation_only: Sequence[str]
) -> list[SourceStore]:
    def rank(store: SourceStore) -> tuple[bool, int]:
        named = settings.priority.index(store.name) if store.name in settings.priority else len(settings.priority)
        return store.name not in evaluation_only, named

    return sorted(stores, key=rank)


def _plan(
    stores: Sequence[SourceStore], after: Mapping[str, tuple[str, ...]], settings: Duplicates
) -> dict[str, Manifest]:
    signed = [SIGNATURES] if settings.near else []
    inputs = {
        f"{store.name}/{step}": store.manifest(step).fingerprint
        for store in stores
        for step in [DOCUMENTS, *signed, *after[store.name]]
    }
    common = {"near": settings.near, "similarity": settings.similarity, "order": [store.name for store in stores]}
    return {
        store.name: Manifest(step=DUPLICATES, inputs=inputs, settings={"source": store.name, **common})
        for store in stores
    }
