"""Token shards: the ids of the documents of one source, made shard by shard from its prepared documents.

DIRECTORY/manifest.json
DIRECTORY/00000-00000/train/tokens.npy     ids, [tokens]; every document begins and ends as the model's texts do
                           /offsets.npy    where each document begins, and where the last ends, int64 [documents + 1]
                           /ids.npy        the documents' ids, uint8 [documents, 16]
                           /rows.npy       which rows of the prepared shard they are, int32 [documents]
DIRECTORY/00000-00000/holdout/…            likewise
DIRECTORY/00000-00000/account.json         counts of this shard

Beside every array stand the checksums of its blocks (`arrays`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sapwood import __version__
from sapwood.arrays import save_array
from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import Delimiters
from sapwood.corpus.contamination import apply_cuts
from sapwood.corpus.selection import HOLDOUT, SPLITS
from sapwood.corpus.store import CONTAMINATION, DOCUMENTS, SELECTION, SourceStore, from_hexadecimal
from sapwood.files import atomic_directory, read_json, write_json
from sapwood.progress import track
from sapwood.runs.manifest import Manifest, begin, finished, remake

FORMAT = 5
"""Counts the changes after which token shards of before are no longer what would be made now."""
COPY = "copy of a held-out document"
NO_TOKENS = "no tokens"

_ACCOUNT = "account.json"
_SHARDS = "[0-9]*-[0-9]*"
_ROW = "row"
_SPLIT, _CUTS = f"{SELECTION}.split", f"{CONTAMINATION}.cuts"
_ENCODED_DOCUMENTS = 1024
_VERIFIED_DOCUMENTS = 256
_VERIFIED_CHARACTERS = 1 << 19

Hashes = npt.NDArray[np.uint64]


def held_out_hashes(stores: Iterable[SourceStore]) -> Hashes:
    """The text hashes of all held-out documents of these prepared sources: sorted, each once."""
    found = [np.empty(0, np.uint64)]
    for store in stores:
        for batch in store.read_all({DOCUMENTS: ["text_hash"], SELECTION: ["split"]}):
            found.append(_hashes(batch["text_hash"])[_is(batch[_SPLIT], HOLDOUT)])
    return np.unique(np.concatenate(found))


def encode_source(store: SourceStore, directory: Path, encoder: Encoder, held_out: Hashes) -> Manifest:
    """Encodes the selected documents of a source into `directory`, unless that was done before with the same inputs.

    `held_out` are the text hashes of the held-out documents of all sources (`held_out_hashes`): a document for training
    whose text is among them is dropped. Work that was stopped goes on after its last complete shard.

    In the manifest, `counts` has `documents` and `tokens` (those that begin and end texts among them), the sums of
    `train_…`, `holdout_…` and `dropped_…`; `reasons` counts the dropped documents by reason. Documents that the corpus
    steps filtered are not among them.

    Raises SapwoodError where the source is not completely prepared.
    """
    selected = store.manifest(SELECTION)
    planned = Manifest(
        step="tokens",
        inputs={SELECTION: selected.fingerprint, "held_out": xxhash.xxh3_64_hexdigest(held_out.tobytes())},
        settings={
            "tokenizer": encoder.fingerprint,
            "begin": list(encoder.delimiters.begin),
            "eos": encoder.delimiters.end,
            "type": encoder.dtype.name,
            "format": FORMAT,
        },
    )
    done = finished(directory, planned)
    if done is not None:
        return done
    begin(directory, planned, [_SHARDS])
    started = time.monotonic()
    columns = {DOCUMENTS: ["id", "text", "text_hash"], SELECTION: ["split"]}
    if CONTAMINATION in selected.inputs:
        columns[CONTAMINATION] = ["cuts"]
    _verify(encoder, store)
    total = selected.counts["documents"]
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with track(f"{store.name}: tokens", total) as advance:
        for shard in store.shards():
            target = directory / shard
            if not target.exists():
                _encode_shard(store.read(shard, columns), target, encoder, held_out)
            account = read_json(target / _ACCOUNT, remake(directory))
            counts.update(account["counts"])
            reasons.update(account["reasons"])
            advance(account["read"])
    manifest = replace(
        planned,
        counts={name: counts[name] for name in _count_names()},
        reasons=dict(reasons),
        versions={"sapwood": __version__, encoder.backend: version(encoder.backend)},
        seconds=round(time.monotonic() - started, 3),
    )
    manifest.write(directory)
    return manifest


def token_shards(directory: Path, split: str) -> list[Path]:
    """The shards with documents of this split, in order."""
    return sorted(directory.glob(f"{_SHARDS}/{split}"))


def _count_names() -> list[str]:
    return [f"{part}{kind}" for part in ("", "train_", "holdout_", "dropped_") for kind in ("documents", "tokens")]


def _verify(encoder: Encoder, store: SourceStore) -> None:
    """Compares the encoder's libraries on the first documents of the source."""
    texts: list[str] = []
    characters = 0
    for text in islice(_texts(store), _VERIFIED_DOCUMENTS):
        texts.append(text[: _VERIFIED_CHARACTERS - characters])
        characters += len(texts[-1])
        if characters == _VERIFIED_CHARACTERS:
            break
    encoder.verify(texts)


def _texts(store: SourceStore) -> Iterator[str]:
    for batch in store.read_all({DOCUMENTS: ["text"]}):
        for text in batch["text"]:
            yield text.as_py()


@dataclass(slots=True)
class _Split:
    """The documents of one split of one shard, in parts."""

    tokens: list[npt.NDArray[Any]] = field(default_factory=list)
    lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    ids: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    rows: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def write(self, directory: Path) -> None:
        if not sum(map(len, self.ids)):
            return
        directory.mkdir()
        lengths = np.concatenate(self.lengths)
        save_array(directory / "tokens.npy", np.concatenate(self.tokens))
        save_array(directory / "offsets.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
        save_array(directory / "ids.npy", np.concatenate(self.ids))
        save_array(directory / "rows.npy", np.concatenate(self.rows))


def _encode_shard(
    batches: Iterable[dict[str, pa.ChunkedArray]], target: Path, encoder: Encoder, held_out: Hashes
) -> None:
    splits = {split: _Split() for split in SPLITS}
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    read = 0
    for rows in batches:
        for part in _selected(rows, read):
            ids, offsets = encoder.encode_batch(_final_texts(part))
            tokens, lengths = _delimited(ids, offsets, encoder.delimiters)
            tokens = tokens.astype(encoder.dtype)
            empty = np.diff(offsets) == 0
            held = _is(part[_SPLIT], HOLDOUT)
            copy = ~held & ~empty & np.isin(_hashes(part["text_hash"]), held_out)
            for name, chosen in (
                ("", np.ones(len(lengths), bool)),
                ("dropped_", empty | copy),
                ("train_", ~held & ~empty & ~copy),
                ("holdout_", held & ~empty),
            ):
                counts[f"{name}documents"] += int(chosen.sum())
                counts[f"{name}tokens"] += int(lengths[chosen].sum())
                split = splits.get(name.removesuffix("_"))
                if split is not None:
                    split.tokens.append(tokens[np.repeat(chosen, lengths)])
                    split.lengths.append(lengths[chosen])
                    split.ids.append(from_hexadecimal(part["id"], np.uint8).reshape(-1, 16)[chosen])
                    split.rows.append(part[_ROW].to_numpy()[chosen])
            reasons.update({COPY: int(copy.sum()), NO_TOKENS: int(empty.sum())})
        read += len(rows["id"])
    with atomic_directory(target) as temporary:
        for name, split in splits.items():
            split.write(temporary / name)
        account = {"read": read, "counts": dict(counts), "reasons": {k: n for k, n in reasons.items() if n}}
        write_json(temporary / _ACCOUNT, account, sealed=True)


def _delimited(
    ids: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], delimiters: Delimiters
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The ids with what begins and ends every text around it, and the tokens of each, `[texts]`."""
    begin, end = delimiters.begin, delimiters.end
    # Of several insertions at one place the first stands first: an end before the beginning that follows it.
    places = np.concatenate([np.column_stack([offsets[:-1]] * len(begin) + [offsets[1:]]).ravel()])
    return np.insert(ids, places, [*begin, end] * (len(offsets) - 1)), np.diff(offsets) + len(begin) + 1


def _selected(rows: dict[str, pa.ChunkedArray], first: int) -> Iterator[pa.Table]:
    """The documents that are trained on or held out, a few hundred at a time; `first` is the first row's number."""
    numbers = np.arange(first, first + len(rows["id"]), dtype=np.int32)
    table = pa.table({**rows, _ROW: numbers})
    table = table.filter(pc.is_valid(table[_SPLIT]))
    for start in range(0, len(table), _ENCODED_DOCUMENTS):
        yield table.slice(start, _ENCODED_DOCUMENTS)


def _final_texts(part: pa.Table) -> list[str]:
    texts: list[str] = part["text"].to_pylist()
    if _CUTS not in part.column_names:
        return texts
    return [apply_cuts(text, cuts or []) for text, cuts in zip(texts, part[_CUTS].to_pylist(), strict=True)]


def _is(column: pa.ChunkedArray, split: str) -> npt.NDArray[np.bool_]:
    return np.array([value == split for value in column.to_pylist()], bool)


def _hashes(column: pa.ChunkedArray) -> Hashes:
    return from_hexadecimal(column, ">u8").astype(np.uint64)
