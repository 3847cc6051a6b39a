"""What a text says of itself without a model: its length, how far it can be compressed, how rare its tokens are.

Compression finds boilerplate and repetition at one end and noise at the other; both are cheap stand-ins for perplexity
in a curriculum (arXiv 2506.11300).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard
from datatrove.data import Document

from sapwood.backbone.encode import Encoder
from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator
from sapwood.corpus.quarantine import is_set_aside
from sapwood.corpus.store import DOCUMENTS, SIGNALS, SourceStore

COMPRESSED_BYTES = 64 * 1024
"""How much of a text's beginning is compressed. Longer texts compress better for their length alone."""
SAMPLED_SHARDS = 64
SAMPLED_DOCUMENTS = 256
"""The documents at the beginning of each sampled shard by which it is judged how common a token is in the source."""

_LEVEL = 3
_BATCH = 256
_SAMPLED_CHARACTERS = 20_000


class Signals(Annotator):
    """Measures every document."""

    columns: ClassVar[dict[str, pa.DataType]] = {
        "bytes": pa.int64(),
        "characters": pa.int64(),
        "tokens": pa.int64(),
        "compression_ratio": pa.float32(),
        "token_rarity": pa.float32(),
    }

    def __init__(self, model: Path, rarity: npt.NDArray[np.float32]) -> None:
        """`model` is the directory of the tokenizer; `rarity` is the rarity of every token, in bits, `[vocabulary]`."""
        super().__init__()
        self.model = model
        self.rarity = rarity

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = iter(data or ())
        while batch := list(itertools.islice(documents, _BATCH)):
            self._measure([document for document in batch if not is_set_aside(document)])
            yield from batch

    def annotate(self, document: Document) -> None:
        self._measure([document])

    def _measure(self, documents: list[Document]) -> None:
        ids, offsets = encoder_of(self.model).encode_batch([document.text for document in documents])
        sums = np.concatenate([[0.0], np.cumsum(self.rarity[ids], dtype=np.float64)])
        for number, document in enumerate(documents):
            content = document.text.encode()
            start, stop = int(offsets[number]), int(offsets[number + 1])
            document.metadata |= {
                "bytes": len(content),
                "characters": len(document.text),
                "tokens": stop - start,
                "compression_ratio": compression_ratio(content),
                "token_rarity": float(sums[stop] - sums[start]) / max(1, stop - start),
            }


def compression_ratio(content: bytes) -> float:
    """Compressed bytes for each byte, of the beginning of a text (zstd); 1 for an empty one."""
    beginning = content[:COMPRESSED_BYTES]
    return len(_compressor().compress(beginning)) / len(beginning) if beginning else 1.0


def token_rarities(store: SourceStore, encoder: Encoder) -> npt.NDArray[np.float32]:
    """How rare every token of the vocabulary is in a source: -log2 of its share of a sample's tokens, in bits.

    Every token counts once more than it was seen, so that none is impossible. The sample is the beginning of the
    documents at the beginning of up to `SAMPLED_SHARDS` shards, evenly spread.
    """
    counts = np.ones(encoder.vocabulary_size, np.int64)
    shards = store.shards()
    for shard in shards[:: max(1, -(-len(shards) // SAMPLED_SHARDS))]:
        for batch in store.read(shard, {DOCUMENTS: ["text"]}):
            texts = batch["text"].slice(0, SAMPLED_DOCUMENTS).to_pylist()
            ids, _ = encoder.encode_batch([text[:_SAMPLED_CHARACTERS] for text in texts])
            counts += np.bincount(ids, minlength=len(counts))
            break
    rarities: npt.NDArray[np.float32] = -np.log2(counts / counts.sum()).astype(np.float32)
    return rarities


def signals_step(store: SourceStore, model: Path) -> Step:
    """The step that measures all documents of a source, with the tokenizer in the directory `model`."""
    encoder = encoder_of(model)
    settings: dict[str, Any] = {"tokenizer": encoder.fingerprint, "compressed_bytes": COMPRESSED_BYTES, "level": _LEVEL}
    return Step(name=SIGNALS, annotator=Signals(model, token_rarities(store, encoder)), settings=settings)


@cache
def encoder_of(model: Path) -> Encoder:
    """The tokenizer in a model's directory, loaded once a process."""
    return Encoder.load(model)


@cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=_LEVEL)
