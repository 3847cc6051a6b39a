"""Files as they come: cut, flipped, put behind one another, in other forms than their names say.

A row is read, or the quarantine has a reason that stands for it; nothing vanishes, and nothing is an exception.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus import ingest as module
from sapwood.corpus import inputs
from sapwood.corpus.block import Reason
from sapwood.corpus.formats import Fields, Rejected, Row, read_rows
from sapwood.corpus.formats.values import split_values
from sapwood.corpus.ingest import ingest, ingested
from sapwood.corpus.inputs import list_files, take_fingerprints
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine, Normalise, Source
from sapwood.runs.manifest import Manifest, read_manifest

OBJECTS = [{"text": f'row {number}, "of" [many] {{rows}} \\ '} for number in range(20)]
TEXTS = [row["text"] for row in OBJECTS]
LINES = "".join(json.dumps(row) + "\n" for row in OBJECTS).encode()
PRETTY = json.dumps(OBJECTS, indent=2).encode()
MARK = b"\xef\xbb\xbf"
CSV = ("id,text\n" + "".join(f"{number},row {number}\n" for number in range(20))).encode()
TSV = CSV.replace(b",", b"\t")

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


def read(name: str, content: bytes, text: str = "text", url: str | None = None) -> list[Row]:
    return list(read_rows(io.BytesIO(content), name, len(content), Fields(text, url), 0))


def told(rows: list[Row]) -> list[object]:
    """Texts, and reasons in their places."""
    return [row.text.reason if isinstance(row.text, Rejected) else row.text for row in rows]


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", (MARK + LINES) * 2, TEXTS * 2),
        ("a.jsonl", MARK + MARK + LINES, TEXTS),
        ("a.jsonl", b'{"n": ' + b"9" * 5000 + b', "text": "a"}', ["a"]),
        ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}", [Reason.NOT_A_STRING]),
        ("a.jsonl", b'{"text": "a", "n": -Infinity}\r\n{"text": "b\\u0000"}\r\n', ["a", "b\0"]),
        ("a.jsonl", b'{"text": ["a", "b"]}', [Reason.NOT_A_STRING]),
        ("a.jsonl", b'{"text": "a"}{"text": "b"}', [Reason.BROKEN_JSON]),
        ("a.jsonl", LINES.decode().encode("utf-16"), [Reason.BROKEN_FILE]),
        ("a.jsonl", gzip.compress(LINES), [Reason.BROKEN_FILE]),
        ("a.jsonl", zstandard.compress(LINES), [Reason.BROKEN_FILE]),
        ("a.txt", bz2.compress(LINES), [Reason.BROKEN_FILE]),
        ("a.json", LINES, TEXTS),
        ("a.json", MARK + PRETTY, TEXTS),
        ("a.json", json.dumps(OBJECTS).encode(), TEXTS),
        ("a.json", b"\n".join(json.dumps(row, indent=1).encode() for row in OBJECTS), TEXTS),
        ("a.json", PRETTY + PRETTY, TEXTS * 2),
        ("a.json", PRETTY[:-2], [*TEXTS, Reason.BROKEN_FILE]),
        ("a.json", PRETTY[:-9], [*TEXTS[:-1], Reason.BROKEN_FILE]),
        ("a.json", b'[{"text": "a"}, {"text": "b" "c"}, {"text": "d"}]', ["a", Reason.BROKEN_JSON, "d"]),
        ("a.json", b'[{"text": "a"}, oops, {"text": "d"}]', ["a", Reason.BROKEN_JSON, "d"]),
        ("a.json", b'{"data": [{"text": "a"}]}', [Reason.NO_COLUMN]),
        ("a.json", b'["a", 3]', [Reason.NOT_AN_OBJECT] * 2),
        ("a.json", b"[" * 100_000, [Reason.BROKEN_FILE]),
        ("a.json", b"]}]}", [Reason.BROKEN_JSON]),
        ("a.json", b" [ ] ", []),
        ("a.csv", CSV.replace(b"row 3", b'"row 3'), [*(f"row {n}" for n in range(3)), Reason.OPEN_QUOTE]),
        ("a.csv", CSV.replace(b"row 3", b'"row\n3"'), [*(f"row {n}" for n in range(3)), "row\n3"]),
        ("a.csv", CSV.replace(b"row 3", b'"row "3"'), [*(f"row {n}" for n in range(3)), 'row 3"']),
        ("a.csv", CSV.replace(b"row 3", b'the "row" 3'), [*(f"row {n}" for n in range(3)), 'the "row" 3']),
        ("a.csv", MARK + CSV + MARK + CSV, [*(f"row {n}" for n in range(20)), Reason.HEADER_AGAIN, "row 0"]),
        ("a.csv", b"text,text\na,b\n", [Reason.TWO_COLUMNS]),
        ("a.csv", b'"text', [Reason.BROKEN_FILE]),
        ("a.csv", CSV.decode().encode("utf-16"), [Reason.BROKEN_FILE]),
        ("a.tsv", TSV, [f"row {n}" for n in range(20)]),
        ("a.tsv", TSV.replace(b"row 3", b'"row 3'), [*(f"row {n}" for n in range(3)), '"row 3']),
        ("a.tsv", TSV.replace(b"row 3", b'"row\n3"'), [*(f"row {n}" for n in range(3)), "row\n3"]),
    ],
)
def test_odd_files(name: str, content: bytes, expected: list[object]) -> None:
    found = told(read(name, content))
    if name.endswith("sv") and len(expected) == 4:  # what follows the odd row is read
        expected = [*expected, *(f"row {number}" for number in range(4, 20))]
    if Reason.HEADER_AGAIN in expected:
        expected = [*expected, *(f"row {number}" for number in range(1, 20))]
    assert found == expected
    for ending, compress in COMPRESS.items():
        if not content.startswith(tuple(one(b"")[:3] for one in COMPRESS.values())):
            assert told(read(name + ending, compress(content))) == expected


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize(("name", "content"), [("a.jsonl", LINES), ("a.csv", CSV), ("a.json", PRETTY)])
def test_archives_that_are_damaged(ending: str, name: str, content: bytes) -> None:
    archive, whole = COMPRESS[ending](content), told(read(name, content))
    assert told(read(name + ending, archive + archive[:0])) == whole
    # A wrong checksum at the end, which bz2 and xz have elsewhere too: what came before it is kept.
    place = {".gz": -8, ".zst": -1, ".xz": -20, ".bz2": -3}[ending]
    wrong = told(read(name + ending, flipped(archive, place)))
    # A row that a break may have cut is not told from a whole one.
    assert wrong[-1] is Reason.BROKEN_FILE
    assert wrong[:-1] in (whole, whole[:-1])
    for cut in (1, 5, len(archive) // 2):
        *kept, last = told(read(name + ending, archive[:-cut]))
        assert last is Reason.BROKEN_FILE
        assert kept == whole[: len(kept)]
    assert told(read("a.jsonl" + ending, COMPRESS[ending](LINES) * 3)) == TEXTS * 3
    assert told(read("a.jsonl" + ending, COMPRESS[ending](LINES) + b"garbage"))[:20] == TEXTS
    assert told(read("a.jsonl" + ending, COMPRESS[ending](LINES) + b"garbage"))[20:] == [Reason.BROKEN_FILE]


def test_frames_of_zstandard_without_content_are_passed_over() -> None:
    aside = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    frame = zstandard.compress(LINES)
    assert told(read("a.jsonl.zst", aside + frame + aside + frame + aside)) == TEXTS * 2


@given(st.lists(st.recursive(st.text() | st.integers(), st.lists, max_leaves=4), max_size=6), st.integers(1, 9))
def test_values_do_not_depend_on_blocks(values: list[object], size: int) -> None:
    for content in (json.dumps(values, indent=1).encode(), b" ".join(json.dumps({"a": v}).encode() for v in values)):
        blocks = [(content[start : start + size], start) for start in range(0, len(content), size)]
        found = [json.loads(value) for value, _ in split_values(blocks) if value is not None]
        assert found == (values if content.startswith(b"[") else [{"a": value} for value in values])


def parquet(columns: Any, names: list[str] | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns, names=names), stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"\xff"]), ["a", Reason.NOT_UTF8]),
        (pa.array([b"a", b"b"], pa.large_binary()), ["a", "b"]),
        (pa.array([b"a", b"b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"ab"], pa.binary(2)), ["ab"]),
        (pa.array([None]), [Reason.NOT_A_STRING]),
        (pa.array([7, 8]), [Reason.NOT_A_STRING]),
        (pa.array([2**62], pa.timestamp("us")), [Reason.NOT_A_STRING]),
        (pa.array([2**30], pa.date32()), [Reason.NOT_A_STRING]),
        (pa.array([2**62], pa.duration("us")), [Reason.NOT_A_STRING]),
        (pa.array([1], pa.timestamp("us", "Mars/Phobos")), [Reason.NOT_A_STRING]),
        (pa.array([["a", "b"]]), [Reason.NOT_A_STRING]),
    ],
)
def test_columns_of_parquet(column: pa.Array, expected: list[object]) -> None:
    assert told(read("a.parquet", parquet({"text": column}))) == expected
    beside = read("a.parquet", parquet({"text": ["fine"] * len(column), "other": column}), url="other")
    assert told(beside) == ["fine"] * len(column)


def test_columns_inside_others() -> None:
    rows = [{"text": "a", "page": "x.org"}, None, {"text": None, "page": None}]
    found = read("a.parquet", parquet({"content": pa.array(rows)}), "content.text", "content.page")
    assert told(found) == ["a", Reason.NOT_A_STRING, Reason.NOT_A_STRING]
    assert found[0].url == "x.org"
    line = b'{"content": {"text": "a", "page": "x.org"}}\n{"content": {}}\n{"content": "text"}\n{"content.text": "b"}'
    found = read("a.jsonl", line, "content.text", "content.page")
    assert told(found) == ["a", Reason.NO_COLUMN, Reason.NO_COLUMN, "b"]
    assert found[0].url == "x.org"
    (row,) = read("a.parquet", parquet({"content": pa.array(rows)}))
    assert row.text == Rejected(Reason.NO_COLUMN, "columns: content.text, content.page")


def test_two_columns_of_one_name() -> None:
    content = parquet([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], ["text", "text", "other"])
    assert told(read("a.parquet", content)) == [Reason.TWO_COLUMNS]
    assert told(read("a.parquet", content, "other")) == ["c"]


def test_damage_in_parquet_is_never_an_exception() -> None:
    sound = parquet({"text": [f"text {number} " * 9 for number in range(300)]}, write_page_checksum=True)
    rng = random.Random(0)
    kept = 0
    for _ in range(120):
        content = bytearray(sound)
        for _ in range(rng.choice((1, 5, 50))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        kept += not any(isinstance(row.text, Rejected) for row in read("a.parquet", bytes(content)))
    assert kept < 40


def prepared(source: Source, out: Path) -> Manifest:
    return ingest(SourceStore(out / "web"), source, Normalise(), Engine(workers=1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": ["a", "b"]}\n', "a.jsonl, row 0: list: .*join lists into one"),
        ("a.jsonl", PRETTY, r"is called `\.json`"),
        ("a.jsonl", gzip.compress(LINES), r"Call it a\.jsonl\.gz"),
        (
            "a.csv",
            CSV.replace(b",", b";"),
            "columns: id;text .one column: fields must be separated by commas, and not by semicolons",
        ),
        ("a.parquet", parquet({"text": pa.array([2**62], pa.timestamp("us"))}), r"column 'text' holds timestamp\[us\]"),
        ("a.parquet", b"", "Parquet file size is 0 bytes"),
        ("a.txt", "天气很好".encode("gb18030"), r"not UTF-8.*\n.*Write it in UTF-8: `iconv"),
    ],
)
def test_a_source_of_which_nothing_can_be_used(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SapwoodError, match=message):
        prepared(Source(files=[str(tmp_path / name)]), tmp_path / "out")


def test_a_file_that_breaks_off_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.jsonl.gz").write_bytes(flipped(gzip.compress(LINES), -8))
    done = prepared(Source(files=[str(tmp_path / "*")]), tmp_path / "out")
    assert done.counts["documents"] == 40
    assert done.reasons == {"broken or truncated file": 1}
    assert "b.jsonl.gz is not read from row 20 on: broken or truncated file" in capsys.readouterr().err


def test_a_row_without_a_text_is_no_end_of_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"other": 1}\n' + LINES)
    done = prepared(Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out")
    assert (done.counts["documents"], done.reasons) == (20, {"no text column": 1})
    assert "is not read from" not in capsys.readouterr().err


def rewrite(path: Path, content: bytes) -> None:
    """Puts other bytes into a file, of the same number and with the same time of writing."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(LINES)


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(LINES[::-1])
    path.with_suffix(".new").replace(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "appended": append,
    "cut": lambda path: os.truncate(path, 100),
    "replaced": replace,
    "rewritten": lambda path: rewrite(path, LINES.replace(b"row 3", b"ROW 3")),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["hash_file", "split_files", "run"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, moment: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    where: Any = inputs if moment == "hash_file" else module
    original = getattr(where, moment)

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        CHANGES[change](path)
        return result

    source = Source(files=[str(path)])
    with monkeypatch.context() as patch:
        patch.setattr(where, moment, meanwhile)
        with pytest.raises(SapwoodError, match=r"a\.jsonl"):
            prepared(source, tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "web" / "documents") is None
    path.write_bytes(LINES + LINES)
    assert prepared(source, tmp_path / "out").counts["documents"] == 40


def test_a_stopped_attempt_does_not_go_on_with_files_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source, out = tmp_path / "a.jsonl", Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out"
    path.write_bytes(LINES)

    def killed(store: SourceStore, *rest: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            module, "split_files", lambda files: (path.write_bytes(LINES[::-1]), inputs.split_files(files))[1]
        )
        patch.setattr(module, "require_unchanged", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(source, out)
    path.write_bytes(LINES)  # as it was when its fingerprint was taken, though not when it was read
    assert prepared(source, out).counts["documents"] == 20


def test_other_bytes_of_the_same_size_and_time_are_noticed_between_runs(tmp_path: Path) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "out"
    path.write_bytes(LINES)
    source = Source(files=[str(path)])
    before = prepared(source, out)
    assert ingested(SourceStore(out / "web"), source, Normalise())
    rewrite(path, LINES.replace(b"row 3", b"ROW 3"))
    assert not ingested(SourceStore(out / "web"), source, Normalise())
    assert prepared(source, out) != before


def test_a_remote_file_that_changes_is_noticed() -> None:
    with fsspec.open("memory://changing/x.jsonl", "wb") as stream:
        stream.write(LINES)
    files = list_files("web", ["memory://changing/x.jsonl"])
    taken = take_fingerprints("web", files, {})
    inputs.require_unchanged("web", files, taken)
    with fsspec.open("memory://changing/x.jsonl", "wb") as stream:
        stream.write(LINES)
    with pytest.raises(SapwoodError, match="changed while being read"):
        inputs.require_unchanged("web", files, taken)


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "nothing.csv")
    place = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the address of a socket has a hundred characters at most
    place.bind("socket.txt")
    place.close()
    for pattern, message in [
        ("pipe.jsonl", "pipe.jsonl is a pipe, a socket or a device"),
        ("pip*", "pipe.jsonl is a pipe, a socket or a device"),
        ("socket.txt", "socket.txt is a pipe, a socket or a device"),
        ("folder.parquet", "is a directory"),
        ("folder*", r"is a directory\. Write a pattern such as .*folder\.parquet/\*\.parquet"),
        ("link.csv", "cannot open .*link.csv"),
        ("link*", "cannot open .*link"),
    ]:
        with pytest.raises(SapwoodError, match=message):
            prepared(Source(files=[str(tmp_path / pattern)]), tmp_path / "out")


def test_names_that_are_no_utf8_are_written_with_escapes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(LINES + b"broken\n")
    done = prepared(Source(files=[str(tmp_path / "*.jsonl")]), tmp_path / "out")
    assert done.counts["documents"] == 20
    table = pq.read_table(tmp_path / "out" / "web" / "documents" / "00000-00000.parquet")
    assert table["origin"][3].as_py() == "caf\\xe9.jsonl#3"
