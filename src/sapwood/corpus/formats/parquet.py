"""Parquet: one text a row of a column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.corpus.document import excerpt
from sapwood.corpus.formats.row import (
    BrokenFileError,
    Fields,
    Rejected,
    Row,
    address,
    examine,
    shown_bytes,
    shown_columns,
)
from sapwood.corpus.quarantine import Reason

_BATCH = 256


def parquet_rows(file: BinaryIO, size: int, fields: Fields, start: int, groups: range | None = None) -> Iterator[Row]:
    """The rows from number `start` on, of some row groups or of all; `size` is that of the file in bytes.

    A file without the text column is one rejected row.
    """
    try:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
        counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        groups = groups or range(len(counts))
        total, number = max(1, sum(counts[group] for group in groups)), sum(counts[: groups.start])
        share = size * total // max(1, sum(counts))
        if fields.text not in names:
            if start <= number:
                yield Row(number, Rejected(Reason.NO_COLUMN, shown_columns(names)), share)
            return
        columns = [fields.text, *([fields.url] if fields.url in names else [])]
        first = number
        for group in groups:
            if number + counts[group] <= start:
                number += counts[group]
                continue
            for batch in table.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns):
                urls = batch[fields.url] if fields.url in columns else pa.nulls(len(batch))
                for value, url in zip(batch[fields.text], urls, strict=True):
                    if number >= start:
                        yield Row(number, _text(value), share * (number + 1 - first) // total, _url(url))
                    number += 1
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BrokenFileError(excerpt(str(error))) from None


def row_groups(file: BinaryIO) -> list[tuple[int, int]]:
    """The rows and the compressed bytes of every row group; none where the file cannot be read."""
    try:
        metadata = pq.ParquetFile(file).metadata
    except (pa.ArrowException, OSError):
        return []
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return [
        (group.num_rows, sum(group.column(i).total_compressed_size for i in range(group.num_columns)))
        for group in groups
    ]


def _text(value: pa.Scalar) -> str | Rejected:
    try:
        return examine(value.as_py())
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, shown_bytes(error.object))


def _url(value: pa.Scalar) -> str | None:
    try:
        return address(value.as_py())
    except UnicodeDecodeError:
        return None
