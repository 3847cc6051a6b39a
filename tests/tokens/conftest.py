"""Token stores made of given numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sapwood.manifest import Manifest
from sapwood.tokens.store import TokenStore


@pytest.fixture
def make_store() -> Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]:
    """Writes shards of documents, each with its end-of-text token, and opens them as the split `train`."""

    def make(directory: Path, shards: Sequence[Sequence[Sequence[int]]]) -> TokenStore:
        for number, documents in enumerate(shards):
            shard = directory / f"00000-{number:05d}"
            shard.mkdir(parents=True)
            if documents:
                where = shard / "train"
                where.mkdir()
                np.save(where / "tokens.npy", np.array([i for document in documents for i in document], np.uint16))
                np.save(where / "offsets.npy", np.cumsum([0, *map(len, documents)], dtype=np.int64))
                ids = [hashlib.md5(f"{number}/{row}".encode()).digest() for row in range(len(documents))]
                np.save(where / "ids.npy", np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16))
                np.save(where / "rows.npy", np.arange(len(documents), dtype=np.int32) * 2)
        Manifest(step="tokens", inputs={}, settings={}).write(directory)
        return TokenStore(directory, "train")

    return make
