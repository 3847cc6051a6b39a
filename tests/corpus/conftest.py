"""Prepared sources of a few documents, written as `ingest` would write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from sapwood.corpus.block import SCHEMA, START, identify, new_document
from sapwood.corpus.store import DOCUMENTS, SourceStore, write_shard
from sapwood.runs.manifest import Manifest

MakeStore = Callable[..., SourceStore]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Writes the documents of a source with these texts; so many of them a shard."""

    def make(texts: Sequence[str], name: str = "web", shard_documents: int = 7, root: Path = tmp_path) -> SourceStore:
        store = SourceStore(root / name)
        for number, start in enumerate(range(0, len(texts), shard_documents)):
            documents = []
            for row, text in enumerate(texts[start : start + shard_documents], start):
                document = new_document(text, f"file.jsonl#{row}", START)
                identify(document, name)
                documents.append({**document.metadata, "id": document.id, "text": document.text})
            columns = {column: [document[column] for document in documents] for column in SCHEMA.names}
            path = store.step(DOCUMENTS) / f"00000-{number:05d}.parquet"
            write_shard(path, pa.table(columns, schema=SCHEMA), {"position": [0, 0, 0]})
        counts = {"documents_read": len(texts), "documents": len(texts), "quarantined": 0, "bytes": 0}
        counts["bytes"] = sum(len(text.encode()) for text in texts)
        Manifest(step=DOCUMENTS, inputs={"texts": list(texts)}, settings={}, counts=counts).write(store.step(DOCUMENTS))
        return store

    return make
