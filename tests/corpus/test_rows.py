from __future__ import annotations

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus import rows
from sapwood.corpus.quarantine import Reason
from sapwood.corpus.rows import Rejected, parse_line, read_rows, split_lines

LINES = [json.dumps({"text": f"document {number} " * 40}).encode() for number in range(3000)]
CONTENT = b"\n".join(LINES) + b"\n"


def read(content: bytes, name: str, start: int = 0, column: str = "text") -> list[rows.Row]:
    return list(read_rows(io.BytesIO(content), name, len(content), column, start))


def compress(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    return zstandard.compress(content) if name.endswith(".zst") else content


def parquet(texts: list[object], **options: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "other": list(range(len(texts)))}), stream, **options)
    return stream.getvalue()


@given(st.lists(st.binary(max_size=12)), st.integers(1, 20), st.integers(0, 8))
def test_lines_do_not_depend_on_blocks(lines: list[bytes], block: int, limit: int) -> None:
    content = b"\n".join(lines)
    blocks = [(content[start : start + block], start) for start in range(0, len(content), block)]
    expected = content.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line for line, _ in split_lines(blocks, limit)] == [
        line if len(line) <= limit else None for line in expected
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("start", [0, 1234])
def test_reads_json_lines(name: str, start: int) -> None:
    content = compress(name, CONTENT)
    found = read(content, name, start)
    assert [row.number for row in found] == list(range(start, 3000))
    assert found[0].text == f"document {start} " * 40
    assert found[-1].bytes == len(content)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_reads_archives_of_several_frames(name: str) -> None:
    half = len(CONTENT) // 2 + 7
    content = compress(name, CONTENT[:half]) + compress(name, CONTENT[half:])
    assert len(read(content, name)) == 3000


def test_padding_after_gzip_is_no_break() -> None:
    assert len(read(compress("a.gz", CONTENT) + bytes(700), "a.jsonl.gz")) == 3000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_rows_before_a_break_are_kept_and_the_break_is_one_row(name: str) -> None:
    # Numbers that cannot be compressed, so that the break comes in the middle of the text too.
    lines = [json.dumps({"text": "x" + str(3**number)}).encode() for number in range(1500)]
    content = compress(name, b"\n".join(lines))
    whole = read(content, name)
    broken = read(content[: len(content) * 2 // 3], name)
    *kept, last = broken
    assert 100 < len(kept) < 1500
    assert [row.text for row in kept] == [row.text for row in whole[: len(kept)]]
    assert isinstance(last.text, Rejected)
    assert last.text.reason is Reason.BROKEN_FILE
    assert last.number == len(kept)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_what_is_not_an_archive_is_a_broken_file(name: str) -> None:
    assert [row.text.reason for row in read(CONTENT, name) if isinstance(row.text, Rejected)] == [Reason.BROKEN_FILE]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', Reason.BROKEN_JSON),
        (b"[" * 100000, Reason.BROKEN_JSON),
        (b'["text"]', Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b'{"content": "a"}', Reason.NO_COLUMN),
        (b'{"text": null}', Reason.NOT_A_STRING),
        (b'{"text": 3}', Reason.NOT_A_STRING),
        (b'{"text": ["a"]}', Reason.NOT_A_STRING),
        (b'{"text": ""}', Reason.EMPTY),
        (b'{"text": " \\n\\t\\u3000"}', Reason.EMPTY),
        (b'{"text": "\xff"}', Reason.NOT_UTF8),
        (b'{"text": "\xed\xa0\x80"}', Reason.NOT_UTF8),
        (b'{"text": "a\\ud800b"}', Reason.SURROGATE),
    ],
)
def test_rejects(line: bytes, reason: Reason) -> None:
    found = parse_line(line, "text")
    assert isinstance(found, Rejected)
    assert found.reason is reason
    found.shown.encode()


@pytest.mark.parametrize(
    "line", [b'{"text": "sound", "x": NaN}', b'{"text": "sound", "x": "\\udc00"}', b'\t{"text":"sound"} \r']
)
def test_takes_sound_text_beside_odd_values(line: bytes) -> None:
    assert parse_line(line, "text") == "sound"


def test_names_the_columns_that_are_there() -> None:
    found = parse_line(b'{"content": "a", "url": "b"}', "text")
    assert isinstance(found, Rejected)
    assert found.shown == "columns: content, url"


def test_blank_lines_are_no_rows_but_count_as_lines() -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b"}'
    assert [(row.number, row.text) for row in read(content, "a.jsonl")] == [(0, "a"), (3, "b")]


def test_long_texts_and_lines_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "TEXT_BYTES", 10)
    found = [parse_line(json.dumps({"text": text}).encode(), "text") for text in ("天" * 3, "天" * 4)]
    assert found[0] == "天天天"
    assert isinstance(found[1], Rejected)
    assert found[1].reason is Reason.TOO_LONG


@pytest.mark.parametrize("start", [0, 3, 700, 999])
def test_reads_parquet(start: int) -> None:
    content = parquet([f"text {number}" for number in range(1000)], row_group_size=300)
    found = read(content, "a.parquet", start)
    assert [(row.number, row.text) for row in found] == [(number, f"text {number}") for number in range(start, 1000)]
    assert found[-1].bytes == len(content)


def test_rejects_rows_of_parquet() -> None:
    found = read(parquet(["a", None, " ", "b"]), "a.parquet")
    reasons = [row.text.reason if isinstance(row.text, Rejected) else None for row in found]
    assert reasons == [None, Reason.NOT_A_STRING, Reason.EMPTY, None]


def test_rejects_invalid_utf8_in_parquet() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"], pa.binary()).buffers())
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": broken}), stream)
    first, second = read(stream.getvalue(), "a.parquet")
    assert first.text == "ok"
    assert isinstance(second.text, Rejected)
    assert second.text.reason is Reason.NOT_UTF8


def test_parquet_without_the_column_is_one_row() -> None:
    (row,) = read(parquet(["a", "b"]), "a.parquet", column="content")
    assert row.text == Rejected(Reason.NO_COLUMN, "columns: text, other")


def test_truncated_parquet_is_one_row() -> None:
    (row,) = read(parquet(["a"] * 100)[:-20], "a.parquet")
    assert isinstance(row.text, Rejected)
    assert row.text.reason is Reason.BROKEN_FILE


def test_row_groups_before_damage_in_parquet_are_kept() -> None:
    texts = [f"{number} " + str(7 ** (number % 500)) for number in range(1000)]
    content = bytearray(parquet(texts, row_group_size=250, compression="zstd", use_dictionary=False))
    place = pq.ParquetFile(io.BytesIO(bytes(content))).metadata.row_group(2).column(0).data_page_offset
    content[place : place + 400] = b"\xff" * 400
    *kept, last = read(bytes(content), "a.parquet")
    assert [row.text for row in kept] == texts[:500]
    assert isinstance(last.text, Rejected)
    assert last.text.reason is Reason.BROKEN_FILE
    assert last.number == 500
