"""What a text says of itself without a model: its length, how far it can be compressed, how rare its tokens are.

Compression finds boilerplate and repetition at one end and noise at the other; both are cheap stand-ins for perplexity
in a curriculum (arXiv 2506.11300).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard
from datatrove.data import Document

from sapwood.arrays import MappedArray, save_array
from sapwood.backbone.encode import Encoder
from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator, is_filtered
from sapwood.corpus.store import DOCUMENTS, SIGNALS, SourceStore, open_shard, read_group
from sapwood.files import atomic_directory, fingerprint, remove_directory
from sapwood.runs.manifest import remake

COMPRESSED_BYTES = 64 * 1024
"""How much of a text's beginning is compressed. Longer texts compress better for their length alone."""
SAMPLED_GROUPS, SAMPLED_DOCUMENTS, SAMPLED_CHARACTERS = 64, 1 << 14, 20_000
"""How common a token is in a source is judged by the beginnings of about so many documents, evenly spread over so many
places in the source."""

_RARITIES = "rarities.npy"
_LEVEL = 3
_BATCH_DOCUMENTS, _BATCH_CHARACTERS = 256, 1 << 22


class Signals(Annotator):
    """Measures every document."""

    columns: ClassVar[dict[str, pa.DataType]] = {
        "bytes": pa.int64(),
        "characters": pa.int64(),
        "tokens": pa.int64(),
        "compression_ratio": pa.float32(),
        "token_rarity": pa.float32(),
    }

    def __init__(self, tokenizer: Path, rarities: Path) -> None:
        """`tokenizer` is what `Encoder.write` wrote, `rarities` what `write_rarities` wrote."""
        super().__init__()
        self.tokenizer = tokenizer
        self.rarities = rarities

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        batch: list[Document] = []
        characters = 0
        for document in data or ():
            batch.append(document)
            characters += len(document.text)
            if len(batch) == _BATCH_DOCUMENTS or characters >= _BATCH_CHARACTERS:
                yield from self._measured(batch)
                batch, characters = [], 0
        yield from self._measured(batch)

    def annotate(self, document: Document) -> None:
        self._measured([document])

    def _measured(self, batch: list[Document]) -> list[Document]:
        documents = [document for document in batch if not is_filtered(document)]
        ids, offsets = encoder_of(self.tokenizer).encode_batch([document.text for document in documents])
        sums = np.concatenate([[0.0], np.cumsum(self._rarity[ids], dtype=np.float64)])
        tokens = np.diff(offsets)
        rarity = np.diff(sums[offsets]) / np.maximum(1, tokens)
        for document, count, rare in zip(documents, tokens.tolist(), rarity.tolist(), strict=True):
            content = document.text.encode()
            document.metadata |= {
                "bytes": len(content),
                "characters": len(document.text),
                "tokens": count,
                "compression_ratio": compression_ratio(content),
                "token_rarity": rare,
            }
        return batch

    @cached_property
    def _rarity(self) -> npt.NDArray[np.float32]:
        return MappedArray(self.rarities, remake(self.rarities.parent)).whole()


def compression_ratio(content: bytes) -> float:
    """Compressed bytes for each byte, of the beginning of a text (zstd); 1 for an empty one."""
    beginning = content[:COMPRESSED_BYTES]
    return len(_compressor().compress(beginning)) / len(beginning) if beginning else 1.0


def signals_step(store: SourceStore, encoder: Encoder) -> Step:
    """The step that measures all documents of a source, with the tokenizer of the model that will be trained.

    A document's `token_rarity` is the mean rarity of its tokens in the source (`token_rarities`): the cross entropy of
    its tokens, in bits, under a model that knows nothing but how common each token is.
    """
    settings: dict[str, Any] = {
        "tokenizer": encoder.fingerprint,
        "compressed_bytes": COMPRESSED_BYTES,
        "level": _LEVEL,
        "sample": [SAMPLED_GROUPS, SAMPLED_DOCUMENTS, SAMPLED_CHARACTERS],
    }
    # Workers read the encoder from here: observing the model's tokenizer anew would load torch in each of them.
    tokenizer = store.step(SIGNALS) / f"tokenizer-{encoder.fingerprint}.json"
    rarities = write_rarities(store, encoder, settings)
    if not tokenizer.exists():
        encoder.write(tokenizer)
    for other in set(tokenizer.parent.glob("tokenizer-*.json")) - {tokenizer}:
        other.unlink()
    return Step(name=SIGNALS, annotator=Signals(tokenizer, rarities), settings=settings)


def write_rarities(store: SourceStore, encoder: Encoder, settings: dict[str, Any]) -> Path:
    """Writes `token_rarities` beside the step's columns, unless they are there, and gives the file's path."""
    directory = store.step(SIGNALS)
    path = directory / f"rarities-{fingerprint([store.manifest(DOCUMENTS).fingerprint, settings])}"
    if not path.exists():
        with atomic_directory(path) as temporary:
            save_array(temporary / _RARITIES, token_rarities(store, encoder))
    for other in set(directory.glob("rarities-*")) - {path}:
        remove_directory(other)
    return path / _RARITIES


def token_rarities(store: SourceStore, encoder: Encoder) -> npt.NDArray[np.float32]:
    """How rare every token of the vocabulary is in a source: -log2 of its share of a sample's tokens, in bits.

    Every token counts once more than it was seen, so that none is impossible.
    """
    counts = np.ones(encoder.vocabulary_size, np.int64)
    for texts in _sample(store):
        counts += np.bincount(encoder.encode_batch(texts)[0], minlength=len(counts))
    rarities: npt.NDArray[np.float32] = -np.log2(counts / counts.sum()).astype(np.float32)
    return rarities


def _count_groups(shard: Path) -> int:
    with open_shard(shard) as file:
        return int(file.num_row_groups)


def _sample(store: SourceStore) -> Iterator[list[str]]:
    paths = [store.step(DOCUMENTS) / f"{shard}.parquet" for shard in store.shards()]
    files = paths[:: -(-len(paths) // SAMPLED_GROUPS) or 1]
    groups = [(path, group) for path in files for group in range(_count_groups(path))]
    chosen = groups[:: -(-len(groups) // SAMPLED_GROUPS) or 1]
    for path, group in chosen:
        with open_shard(path) as file:
            texts = read_group(file, path, group, ["text"])["text"]
        stride = max(1, -(-len(texts) * len(chosen) // SAMPLED_DOCUMENTS))
        yield [text[:SAMPLED_CHARACTERS] for text in texts.take(np.arange(0, len(texts), stride)).to_pylist()]


@lru_cache(maxsize=1)  # 40 MB each
def encoder_of(path: Path) -> Encoder:
    """The encoder that was written to `path`, read once a process."""
    return Encoder.read(path)


@cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=_LEVEL)
