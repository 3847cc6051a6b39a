"""Parquet: one text a row of a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sapwood.corpus.block import Reason, excerpt
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

_BATCH = 256


def parquet_rows(file: BinaryIO, size: int, fields: Fields, start: int, groups: range | None = None) -> Iterator[Row]:
    """The rows from number `start` on, of some row groups or of all; `size` is that of the file in bytes.

    A file without the text column, or with something else than text in it, is one rejected row.
    """
    try:
        table = pq.ParquetFile(file, page_checksum_verification=True)
        counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        groups = groups or range(len(counts))
        total, number = max(1, sum(counts[group] for group in groups)), sum(counts[: groups.start])
        share = size * total // max(1, sum(counts))
        schema = table.schema_arrow
        text = _column(schema, fields.text)
        if isinstance(text, Rejected):
            if start <= number:
                yield Row(number, text, share)
            return
        url = None if fields.url is None else _column(schema, fields.url)
        columns = [".".join(path) for path in (text, url) if isinstance(path, tuple)]
        first = number
        for group in groups:
            if number + counts[group] <= start:
                number += counts[group]
                continue
            for batch in table.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns):
                urls = _values(batch, url) if isinstance(url, tuple) else pa.nulls(len(batch))
                for value, place in zip(_values(batch, text), urls, strict=True):
                    if number >= start:
                        yield Row(number, _text(value), share * (number + 1 - first) // total, _url(place))
                    number += 1
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        # Of a damaged file pyarrow says so in many ways: bytes that are no UTF-8 in its header are a ValueError.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BrokenFileError(excerpt(str(error))) from None


def _column(schema: pa.Schema, name: str) -> tuple[str, ...] | Rejected:
    """The path to a column of texts, by name or with dots; or why there is none."""
    if (several := schema.names.count(name)) > 1:
        return Rejected(Reason.TWO_COLUMNS, excerpt(f"{several} columns are called '{name}'"))
    fields: Iterable[pa.Field] = schema
    path: tuple[str, ...] = ()
    left = name
    while True:
        kinds = [(field.name, field.type) for field in fields]
        step = left if left in dict(kinds) else left.partition(".")[0]
        if [found for found, _ in kinds].count(step) != 1:
            return Rejected(Reason.NO_COLUMN, shown_columns(_names(schema)))
        kind, path = dict(kinds)[step], (*path, step)
        left = left[len(step) + 1 :]
        if not left:
            break
        if not pa.types.is_struct(kind):
            return Rejected(Reason.NO_COLUMN, shown_columns(_names(schema)))
        fields = kind
    return path if _holds_text(kind) else Rejected(Reason.NOT_A_STRING, excerpt(f"column '{name}' holds {kind}"))


def _names(fields: Iterable[pa.Field]) -> Iterator[str]:
    for field in fields:
        inside = field.type if pa.types.is_struct(field.type) else ()
        yield from (f"{field.name}.{name}" for name in _names(inside)) if inside else (field.name,)


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_text(kind.storage_type)
    # Many writers do not say of their bytes that they are text.
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_null(kind)
    )


def _values(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    outer, *inner = path
    values = pc.struct_field(batch[outer], inner) if inner else batch[outer]
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def row_groups(file: BinaryIO) -> list[tuple[int, int]]:
    """The rows and the compressed bytes of every row group; none where the file cannot be read."""
    try:
        metadata = pq.ParquetFile(file).metadata
    except (pa.ArrowException, OSError, ValueError):
        return []
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return [
        (group.num_rows, sum(group.column(i).total_compressed_size for i in range(group.num_columns)))
        for group in groups
    ]


def _text(value: pa.Scalar) -> str | Rejected:
    try:
        return examine(_decoded(value))
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, shown_bytes(error.object))


def _url(value: pa.Scalar) -> str | None:
    try:
        return address(_decoded(value))
    except UnicodeDecodeError:
        return None


def _decoded(value: pa.Scalar) -> object:
    found = value.as_py()
    return found.decode() if isinstance(found, bytes) else found
