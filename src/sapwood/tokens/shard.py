"""Token shards: the ids of the documents of one source, made shard by shard from its prepared documents.

DIRECTORY/manifest.json
DIRECTORY/00000-00000/train/tokens.npy     ids, [tokens]; every document ends with the end-of-text token
                           /offsets.npy    where each document begins, and where the last ends, int64 [documents + 1]
                           /ids.npy        the documents' ids, uint8 [documents, 16]
DIRECTORY/00000-00000/holdout/…            likewise
DIRECTORY/00000-00000/account.json         counts of this shard
"""

from __future__ import annotations

import shutil
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
import xxhash

from sapwood import __version__
from sapwood.corpus.document import read_batches, shards
from sapwood.corpus.holdout import HOLDOUT, TRAIN
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, read_json, remove_leftovers, write_json
from sapwood.manifest import NAME as MANIFEST
from sapwood.manifest import Manifest, read_manifest
from sapwood.progress import track
from sapwood.tokens.encode import Encoder

SPLITS = (TRAIN, HOLDOUT)
FORMAT = 1
"""Counts the changes after which token shards of before are no longer what would be made now."""
COPY = "copy of a held-out document"
NO_TOKENS = "no tokens"

_ATTEMPT = "attempt.json"
_ACCOUNT = "account.json"
_SHARDS = "[0-9]*-[0-9]*"
_VERIFIED_DOCUMENTS = 256
_VERIFIED_CHARACTERS = 1 << 19

Hashes = npt.NDArray[np.uint64]


def held_out_hashes(corpus_directories: Iterable[Path]) -> Hashes:
    """The text hashes of all held-out documents of these prepared sources: sorted, each once."""
    found = [np.empty(0, np.uint64)]
    for directory in corpus_directories:
        for path in shards(directory):
            for batch in read_batches(path, ["text_hash", "split"]):
                found.append(_hashes(batch)[_is_held_out(batch)])
    return np.unique(np.concatenate(found))


def encode_source(corpus: Path, directory: Path, encoder: Encoder, held_out: Hashes) -> Manifest:
    """Encodes the prepared source in `corpus` into `directory`, unless that was done before with the same inputs.

    `held_out` are the text hashes of the held-out documents of all sources (`held_out_hashes`): a document for training
    whose text is among them is dropped. Work that was stopped goes on after its last complete shard.

    In the manifest, `counts` has `documents` and `tokens` (end-of-text tokens among them), which are the sums of
    `train_…`, `holdout_…` and `dropped_…`; `reasons` counts the dropped documents by reason.

    Raises SapwoodError where `corpus` is not completely prepared.
    """
    prepared = read_manifest(corpus)
    if prepared is None:
        raise SapwoodError(f"The documents in {corpus} are not completely prepared. Run `sapwood prepare` first.")
    planned = Manifest(
        step="tokens",
        inputs={"corpus": prepared.fingerprint, "held_out": xxhash.xxh3_64_hexdigest(held_out.tobytes())},
        settings={"tokenizer": encoder.fingerprint, "eos": encoder.eos, "type": encoder.dtype.name, "format": FORMAT},
    )
    done = read_manifest(directory)
    if done is not None and done.fingerprint == planned.fingerprint:
        return done
    _begin(directory, planned.fingerprint)
    paths = shards(corpus)
    _verify(encoder, paths)
    total = prepared.counts["documents_written"]
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with track(f"encoding {corpus.name}", total) as advance:
        for path in paths:
            target = directory / path.stem.removeprefix("documents-")
            if not target.exists():
                _encode_shard(path, target, encoder, held_out)
            account = read_json(target / _ACCOUNT)
            counts.update(account["counts"])
            reasons.update(account["reasons"])
            advance(account["counts"]["documents"])
    manifest = replace(
        planned,
        counts={name: counts[name] for name in _count_names()},
        reasons=dict(reasons),
        versions={"sapwood": __version__, encoder.backend: version(encoder.backend)},
    )
    manifest.write(directory)
    return manifest


def token_shards(directory: Path, split: str) -> list[Path]:
    """The shards with documents of this split, in order."""
    return sorted(directory.glob(f"{_SHARDS}/{split}"))


def _count_names() -> list[str]:
    return [f"{part}{kind}" for part in ("", "train_", "holdout_", "dropped_") for kind in ("documents", "tokens")]


def _begin(directory: Path, attempt: str) -> None:
    """Makes `directory` ready to go on with the same attempt, or else empties it and starts this one."""
    mark = directory / _ATTEMPT
    if not mark.exists() or (directory / MANIFEST).exists() or read_json(mark) != attempt:
        # The marks go first: a half-emptied directory must not look like a finished or a resumable one.
        (directory / MANIFEST).unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        for path in directory.glob(_SHARDS):
            shutil.rmtree(path)
        write_json(mark, attempt)
    remove_leftovers(directory)


def _verify(encoder: Encoder, paths: list[Path]) -> None:
    """Compares the encoder's libraries on the first documents of the source."""
    texts: list[str] = []
    characters = 0
    for text in islice(_texts(paths), _VERIFIED_DOCUMENTS):
        texts.append(text[: _VERIFIED_CHARACTERS - characters])
        characters += len(texts[-1])
        if characters == _VERIFIED_CHARACTERS:
            break
    encoder.verify(texts)


def _texts(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for batch in read_batches(path, ["text"], rows=32):
            yield from batch["text"].to_pylist()


@dataclass(slots=True)
class _Split:
    """The documents of one split of one shard, in parts."""

    tokens: list[npt.NDArray[Any]] = field(default_factory=list)
    lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    ids: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def write(self, directory: Path) -> None:
        if not sum(map(len, self.ids)):
            return
        directory.mkdir()
        lengths = np.concatenate(self.lengths)
        np.save(directory / "tokens.npy", np.concatenate(self.tokens))
        np.save(directory / "offsets.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
        np.save(directory / "ids.npy", np.concatenate(self.ids))


def _encode_shard(path: Path, target: Path, encoder: Encoder, held_out: Hashes) -> None:
    splits = {split: _Split() for split in SPLITS}
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for batch in read_batches(path, ["id", "text", "text_hash", "split"]):
        texts = batch["text"].to_pylist()
        ids, offsets = encoder.encode_batch(texts)
        lengths = np.diff(offsets) + 1
        tokens = np.insert(ids, offsets[1:], encoder.eos).astype(encoder.dtype)
        empty = lengths == 1
        held = _is_held_out(batch)
        copy = ~held & ~empty & np.isin(_hashes(batch), held_out)
        for name, chosen in (
            ("", np.ones(len(texts), bool)),
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
                split.ids.append(_digits(batch["id"], np.uint8).reshape(-1, 16)[chosen])
        reasons.update({COPY: int(copy.sum()), NO_TOKENS: int(empty.sum())})
    with atomic_directory(target) as temporary:
        for name, split in splits.items():
            split.write(temporary / name)
        write_json(temporary / _ACCOUNT, {"counts": dict(counts), "reasons": {k: n for k, n in reasons.items() if n}})


def _is_held_out(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    return np.array([split == HOLDOUT for split in batch["split"].to_pylist()], bool)


def _hashes(batch: pa.RecordBatch) -> Hashes:
    return _digits(batch["text_hash"], ">u8").astype(np.uint64)


def _digits(column: pa.Array, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """A column of hexadecimal digits as numbers."""
    return np.frombuffer(bytes.fromhex("".join(column.to_pylist())), kind)
