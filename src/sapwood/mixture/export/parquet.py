"""Sequences as Parquet: one row each, with the ids and the pieces of documents that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.files import atomic_file
from sapwood.mixture.stream import Sequence

SUFFIXES = (".parquet",)

SPAN = pa.struct([("document", pa.string()), ("start", pa.int64()), ("length", pa.int32()), ("offset", pa.int32())])
"""A piece of a document: its id; the first token, counted inside it; tokens; where it begins in the sequence."""
SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("domain", pa.dictionary(pa.int32(), pa.string())),
        ("stage", pa.dictionary(pa.int32(), pa.string())),
        ("input_ids", pa.list_(pa.int32())),
        ("spans", pa.list_(SPAN)),
    ]
)

_GROUP_TOKENS = 1 << 22
"""About so many tokens are held in memory, and written as a row group."""


def write_parquet(
    stem: Path, sequences: Iterable[Sequence], length: int, stage: str, document_id: Callable[[str, int], str]
) -> None:
    """Writes `STEM.parquet` whole or not at all. All sequences have `length` tokens.

    `document_id` gives the id of a document by its domain and its number in the token store.
    """
    remaining = iter(sequences)
    with (
        atomic_file(stem.with_suffix(".parquet")) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        while group := list(islice(remaining, max(1, _GROUP_TOKENS // length))):
            writer.write_table(_table(group, length, stage, document_id))


def _table(group: list[Sequence], length: int, stage: str, document_id: Callable[[str, int], str]) -> Any:
    spans = [(sequence.domain, span) for sequence in group for span in sequence.spans]
    pieces = pa.StructArray.from_arrays(
        [
            pa.array([document_id(domain, span.document) for domain, span in spans], pa.string()),
            pa.array([span.start for _, span in spans], pa.int64()),
            pa.array([span.length for _, span in spans], pa.int32()),
            pa.array([span.offset for _, span in spans], pa.int32()),
        ],
        fields=list(SPAN),
    )
    ids = np.concatenate([sequence.tokens for sequence in group]).astype(np.int32)
    columns = [
        pa.array([sequence.position for sequence in group], pa.int64()),
        pa.array([sequence.domain for sequence in group]).dictionary_encode(),
        pa.array([stage] * len(group)).dictionary_encode(),
        pa.ListArray.from_arrays(_offsets([length] * len(group)), pa.array(ids)),
        pa.ListArray.from_arrays(_offsets([len(sequence.spans) for sequence in group]), pieces),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _offsets(lengths: list[int]) -> Any:
    return pa.array(np.cumsum([0, *lengths]), pa.int32())
