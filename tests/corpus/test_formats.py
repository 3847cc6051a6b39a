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

from sapwood.corpus.block import Reason
from sapwood.corpus.formats import Fields, Rejected, Row, format_of, jsonl, page, read_rows, row, table
from sapwood.corpus.formats.jsonl import parse_object, split_lines

LINES = [json.dumps({"text": f"document {number} " * 40}).encode() for number in range(3000)]
CONTENT = b"\n".join(LINES) + b"\n"


def read(content: bytes, name: str, start: int = 0, column: str = "text", url: str | None = None) -> list[Row]:
    return list(read_rows(io.BytesIO(content), name, len(content), Fields(column, url), start))


def reasons(rows: list[Row]) -> list[Reason | None]:
    return [row.text.reason if isinstance(row.text, Rejected) else None for row in rows]


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


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "A.JSONL.GZ", "A.JSONL.ZST"])
@pytest.mark.parametrize("start", [0, 1234])
def test_reads_json_lines(name: str, start: int) -> None:
    content = compress(name.lower(), CONTENT)
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
    found = parse_object(line, Fields())[0]
    assert isinstance(found, Rejected)
    assert found.reason is reason
    found.shown.encode()


@pytest.mark.parametrize(
    "line", [b'{"text": "sound", "x": NaN}', b'{"text": "sound", "x": "\\udc00"}', b'\t{"text":"sound"} \r']
)
def test_takes_sound_text_beside_odd_values(line: bytes) -> None:
    assert parse_object(line, Fields())[0] == "sound"


def test_names_the_columns_that_are_there() -> None:
    found = parse_object(b'{"content": "a", "url": "b"}', Fields())[0]
    assert isinstance(found, Rejected)
    assert found.shown == "columns: content, url"


def test_blank_lines_are_no_rows_but_count_as_lines() -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b"}'
    assert [(row.number, row.text) for row in read(content, "a.jsonl")] == [(0, "a"), (3, "b")]


def test_long_texts_and_lines_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row, "TEXT_BYTES", 10)
    found = [parse_object(json.dumps({"text": text}).encode(), Fields())[0] for text in ("天" * 3, "天" * 4)]
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
    assert reasons(found) == [None, Reason.NOT_A_STRING, Reason.EMPTY, None]


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


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", ".jsonl"),
        ("a.NDJSON.gz", ".ndjson"),
        ("crawl.warc.gz", ".warc"),
        ("a.md.zst", ".md"),
        ("a.parquet", ".parquet"),
        ("a.parquet.gz", None),
        ("a.json", ".json"),
        ("a.yaml", None),
        ("a.tsv.xz", ".tsv"),
        ("parquet", None),
    ],
)
def test_the_ending_names_the_format(name: str, kind: str | None) -> None:
    assert format_of(name) == kind


def test_addresses_are_read_where_they_are() -> None:
    lines = b'{"text": "a", "at": "x.org"}\n{"text": "b", "at": 3}\n{"text": "c"}\n'
    assert [row.url for row in read(lines, "a.jsonl", url="at")] == ["x.org", None, None]
    assert {row.url for row in read(lines, "a.jsonl")} == {None}
    assert [row.url for row in read(parquet(["a", "b"]), "a.parquet", url="other")] == [None, None]
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"], "at": ["x.org", None]}), stream)
    assert [row.url for row in read(stream.getvalue(), "a.parquet", url="at")] == ["x.org", None]
    assert [row.url for row in read(stream.getvalue(), "a.parquet", url="none")] == [None, None]
    assert [row.url for row in read(b"at,text\nx.org,a\n,b\n", "a.csv", url="at")] == ["x.org", None]


CSV = 'n,text\r\n1,"two\nlines, and ""quotes"""\r\n2,年轮\n3\n4,\n5,a,b\n6,last'.encode()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
@pytest.mark.parametrize("start", [0, 1, 4])
def test_reads_csv(name: str, start: int) -> None:
    found = read(compress(name, b"\xef\xbb\xbf" + CSV), name, start)
    texts = [row.text if isinstance(row.text, str) else row.text.reason for row in found]
    expected = ['two\nlines, and "quotes"', "年轮", Reason.OTHER_WIDTH, Reason.EMPTY, Reason.OTHER_WIDTH, "last"]
    assert texts == expected[start:]
    assert [row.number for row in found] == list(range(start, 6))


def test_in_csv_only_the_row_that_is_not_utf8_is_lost() -> None:
    found = read(b"text\nsound\n\xff\xfe\nnul \x00 byte\n", "a.csv")
    assert reasons(found) == [None, Reason.NOT_UTF8, None]
    assert found[2].text == "nul \x00 byte"


def test_csv_without_the_column_is_one_row() -> None:
    (row,) = read(b"a,b\n1,2\n", "a.csv")
    assert row.text == Rejected(Reason.NO_COLUMN, "columns: a, b")
    assert read(b"", "a.csv") == []


@pytest.mark.parametrize("limit", [1000, table.TEXT_BYTES])
def test_a_quote_that_is_never_closed_costs_its_row(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(table, "TEXT_BYTES", limit)
    content = 'n,text\n0,sound\n1,"open\n' + "".join(f"{number},line {number}\n" for number in range(2, 200))
    found = read(content.encode(), "a.csv")
    assert reasons(found) == [None, Reason.OPEN_QUOTE, *[None] * 198]
    assert found[-1].text == "line 199"
    assert [row.text for row in read(content.encode(), "a.csv", start=150)] == [row.text for row in found[150:]]


def test_a_field_longer_than_texts_may_be_costs_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "TEXT_BYTES", 1000)
    content = b"text\nsound\n" + b'"open ' + b"x" * 5000 + b"\nafter\n"
    assert reasons(read(content, "a.csv")) == [None, Reason.TOO_LONG, None]


def test_rows_of_a_truncated_csv_archive_are_kept() -> None:
    content = gzip.compress(b"text\n" + b"\n".join(str(3**number).encode() for number in range(2000)))
    *kept, last = read(content[: len(content) // 2], "a.csv.gz")
    assert len(kept) > 100
    assert reasons([last]) == [Reason.BROKEN_FILE]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("# 年轮\n\nText\n".encode(), "# 年轮\n\nText\n"),
        ("\ufeffmarked".encode(), "marked"),
        ("sixteen 年".encode("utf-16"), "sixteen 年"),
        ("grün".encode("latin-1"), Reason.NOT_UTF8),
        (b"", Reason.EMPTY),
    ],
)
def test_a_text_file_is_one_document(content: bytes, expected: object) -> None:
    for name in ("a.txt", "a.md.gz", "a.txt.zst"):
        (row,) = read(compress(name, content), name)
        assert (row.text if isinstance(row.text, str) else row.text.reason) == expected
        assert read(compress(name, content), name, start=1) == []


ARTICLE = "".join(
    f"<p>Every year the tree adds a ring of living wood around its heart, and ring number {number} tells of rain.</p>"
    for number in range(6)
)
PAGE = f"""<html><head><title>Rings</title></head><body><nav><a href="/">Home</a> <a href="/b">About</a></nav>
<article><h1>Rings of a tree</h1>{ARTICLE}</article><footer>Copyright, cookies, contact</footer></body></html>"""


def test_of_a_web_page_the_article_is_taken() -> None:
    pytest.importorskip("trafilatura", reason="needs the extra `web`")
    (found,) = read(PAGE.encode(), "a.html")
    assert isinstance(found.text, str)
    assert "ring number 5" in found.text
    assert "cookies" not in found.text
    chinese = PAGE.replace("Every year the tree", "每年树木都会长出一圈新的木质，").replace(
        "<head>", '<head><meta charset="gbk">'
    )
    (found,) = read(chinese.encode("gbk"), "a.htm")
    assert isinstance(found.text, str)
    assert "每年树木" in found.text


def test_pages_without_text_and_odd_pages_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trafilatura", reason="needs the extra `web`")
    assert reasons(read(b"<html><body></body></html>", "a.html")) == [Reason.NO_ARTICLE]
    assert reasons(read(b"  ", "a.html")) == [Reason.EMPTY]
    assert reasons(read(b"<div>" * 20000, "a.html")) in ([Reason.NO_ARTICLE], [Reason.BROKEN_PAGE])
    assert reasons(read(b"\x00\xff\xfe" * 300, "a.html")) != [None]
    monkeypatch.setattr(page, "PAGE_BYTES", 500)
    assert reasons(read(PAGE.encode(), "a.html")) == [Reason.TOO_LONG]


def record(url: str, status: str, kind: str, body: bytes) -> bytes:
    http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:uuid:{len(body)}>\r\n"
    head += "WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
    return head.encode() + f"Content-Length: {len(http)}\r\n\r\n".encode() + http + b"\r\n\r\n"


RECORDS = [
    record("https://a.org/1", "200 OK", "text/html; charset=utf-8", PAGE.encode()),
    record("https://a.org/2", "404 Not Found", "text/html", PAGE.encode()),
    record("https://a.org/3", "200 OK", "image/png", b"\x89PNG"),
    record("https://a.org/4", "200 OK", "text/html", b"<html></html>"),
    record("https://a.org/5", "200 OK", "text/html", PAGE.replace("tree", "oak").encode()),
]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
@pytest.mark.parametrize("start", [0, 3])
def test_reads_warc(name: str, start: int) -> None:
    pytest.importorskip("warcio", reason="needs the extra `web`")
    content = b"".join(compress(name, record) for record in RECORDS)
    found = read(content, name, start)
    assert [row.number for row in found] == list(range(start, 5))
    assert [row.url for row in found] == [f"https://a.org/{number}" for number in range(start + 1, 6)]
    assert reasons(found) == [None, Reason.NOT_FOUND, Reason.NOT_HTML, Reason.NO_ARTICLE, None][start:]
    assert "oak" in str(found[-1].text)


def test_a_truncated_warc_archive_is_a_break() -> None:
    pytest.importorskip("warcio", reason="needs the extra `web`")
    content = b"".join(gzip.compress(record) for record in RECORDS)
    found = read(content[:-40], "a.warc.gz")
    assert reasons(found)[:4] == [None, Reason.NOT_FOUND, Reason.NOT_HTML, Reason.NO_ARTICLE]
    assert reasons(found)[-1] is Reason.BROKEN_FILE


def test_a_line_of_200_megabytes_is_one_rejected_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        """A JSON line of 300 MB that is never in memory as a whole, and a sound line after it."""

        left = 300 * 2**20

        def read(self, size: int = -1) -> bytes:
            if self.left > 0:
                self.left -= size
                return b"x" * size
            content, self.rest = self.rest, b""
            return content

        rest = b'\n{"text": "sound"}\n'

    found = list(read_rows(Endless(), "a.jsonl", 1, Fields(), 0))  # type: ignore[arg-type]
    assert reasons(found) == [Reason.TOO_LONG, None]
    assert jsonl.LINE_BYTES < 300 * 2**20
