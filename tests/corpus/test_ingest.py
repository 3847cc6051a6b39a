from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sapwood.corpus import ingest as module
from sapwood.corpus.block import read_quarantine
from sapwood.corpus.ingest import blocks, ingest, ingested
from sapwood.corpus.inputs import list_files, split_files
from sapwood.corpus.store import SourceStore, read_account
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine, Normalise, Source
from sapwood.runs.manifest import Manifest, read_manifest

pytestmark = pytest.mark.slow

LOCAL = Engine(workers=1)


def write_rows(path: Path, texts: Iterable[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def prepared(source: Source, directory: Path, engine: Engine = LOCAL, **normalise: Any) -> Manifest:
    return ingest(SourceStore(directory / "web"), source, Normalise(**normalise), engine)


def shards(directory: Path) -> list[Path]:
    return sorted((directory / "web" / "documents").glob("*.parquet"))


def documents(directory: Path) -> list[dict[str, Any]]:
    return [row for path in shards(directory) for row in pq.read_table(path).to_pylist()]


def contents(directory: Path) -> dict[str, bytes]:
    """What a prepared source consists of, but for logs and times."""
    return {
        path.name: path.read_bytes()
        for path in (directory / "web" / "documents").iterdir()
        if path.is_file() and path.name not in ("attempt.json", "manifest.json")
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three files with 40 documents each, every seventh row unusable."""
    directory = tmp_path / "data"
    directory.mkdir()
    for number in range(3):
        lines = [
            "{broken" if row % 7 == 6 else json.dumps({"text": f"file {number} row {row} " * 5, "n": row})
            for row in range(40)
        ]
        (directory / f"{number}.jsonl").write_text("\n".join(lines))
    return directory


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 500)


def test_every_row_is_accounted_for(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = prepared(Source(files=[str(data / "*.jsonl")]), out)
    assert manifest == read_manifest(out / "web" / "documents")
    found = documents(out)
    quarantined = list(read_quarantine(out / "web" / "documents"))
    assert manifest.counts == {
        "documents_read": 120,
        "documents": len(found),
        "quarantined": len(quarantined),
        "bytes": sum(len(row["text"].encode()) for row in found),
    }
    assert manifest.reasons == {"broken JSON": 15}
    origins = [row["origin"] for row in found] + [f"{entry['file']}#{entry['row']}" for entry in quarantined]
    assert sorted(origins) == sorted(f"{number}.jsonl#{row}" for number in range(3) for row in range(40))
    assert quarantined[0] == {
        "source": "web",
        "file": "0.jsonl",
        "row": 6,
        "reason": "broken JSON",
        "excerpt": "{broken",
    }


def test_columns_and_ids(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", ["same  text", "same text", "same text"])
    out = tmp_path / "out"
    prepared(Source(files=[str(tmp_path / "a.jsonl")]), out)
    first, second, third = documents(out)
    assert list(first) == ["id", "text", "origin", "url", "text_hash"]
    assert len(first["id"]) == 32
    assert len(first["text_hash"]) == 16
    assert first["text_hash"] == second["text_hash"]
    assert first["id"] != second["id"] == third["id"]
    other = SourceStore(tmp_path / "other")
    ingest(other, Source(files=[str(tmp_path / "a.jsonl")]), Normalise(), LOCAL)
    batch = next(other.read_all({"documents": ["id", "text_hash"]}))
    assert batch["id"][0].as_py() != first["id"]
    assert batch["text_hash"][0].as_py() == first["text_hash"]


def test_texts_are_normalised_before_they_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", ["caf\u00e9\n", "cafe\u0301\r\n", "\u200b\x00"])
    manifest = prepared(Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out")
    first, second = documents(tmp_path / "out")
    assert first["text"] == second["text"] == "caf\u00e9\n"
    assert first["id"] == second["id"]
    assert manifest.reasons == {"empty text": 1}


def test_formats_give_the_same_documents(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(50)]
    write_rows(tmp_path / "a.jsonl", texts)
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress((tmp_path / "a.jsonl").read_bytes()))
    pq.write_table(pa.table({"body": texts}), tmp_path / "a.parquet")
    found = []
    for name, column in (("a.jsonl", "text"), ("a.jsonl.zst", "text"), ("a.parquet", "body")):
        out = tmp_path / f"out-{name}"
        prepared(Source(files=[str(tmp_path / name)], text=column), out)
        found.append([{**row, "origin": row["origin"].rpartition("#")[2]} for row in documents(out)])
    assert found[0] == found[1] == found[2]
    assert [row["text"] for row in found[0]] == texts


def test_is_not_done_again_unless_something_changed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(
        module, "run", lambda blocks, run=module.run, **options: (runs.append(options["title"]), run(blocks, **options))
    )
    out, source = tmp_path / "out", Source(files=[str(data / "*.jsonl")])
    store = SourceStore(out / "web")
    assert not ingested(store, source, Normalise())
    first = prepared(source, out)
    assert prepared(source, out) == first
    assert ingested(store, source, Normalise())
    assert len(runs) == 1
    os.utime(data / "0.jsonl", ns=(1, 1))
    assert prepared(source, out) == first
    assert len(runs) == 1
    assert not ingested(store, source, Normalise(mojibake=True))
    assert prepared(source, out, mojibake=True) != first
    assert len(runs) == 2
    write_rows(data / "0.jsonl", ["new"])
    assert not ingested(store, source, Normalise(mojibake=True))
    assert prepared(source, out).counts["documents_read"] == 81
    assert len(runs) == 3


def test_a_missing_column_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"content": "a", "url": "b"}\n' * 3)
    with pytest.raises(SapwoodError, match=r"columns: content, url. Write `text: COLUMN` under the source"):
        prepared(Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "web" / "documents") is None
    assert prepared(Source(files=[str(tmp_path / "a.jsonl")], text="content"), tmp_path / "out").counts["bytes"] == 3


def test_a_column_missing_in_some_rows_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"content": "b"}\n')
    manifest = prepared(Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out")
    assert manifest.reasons == {"no text column": 1}


@pytest.mark.parametrize(("content", "message"), [("", "are empty"), ("x\n", "1 with broken JSON")])
def test_a_source_without_documents_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(SapwoodError, match=message):
        prepared(Source(files=[str(tmp_path / "a.jsonl")]), tmp_path / "out")


def test_no_files_and_missing_files_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="nothing to prepare"):
        prepared(Source(tokens=1), tmp_path / "out")
    with pytest.raises(SapwoodError, match=r"'web'.*none"):
        prepared(Source(files=[str(tmp_path / "none-*.jsonl")]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shards_do_not_depend_on_the_number_of_processes(
    data: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sapwood.corpus import engine

    source = Source(files=[str(data / "*.jsonl")])
    prepared(source, tmp_path / "one")
    monkeypatch.setattr(engine, "WORKER_BYTES", 1)
    prepared(source, tmp_path / "two", Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_shard_has_the_account_of_its_rows(data: Path, tmp_path: Path, small_shards: None) -> None:
    prepared(Source(files=[str(data / "0.jsonl")]), tmp_path / "out")
    paths = shards(tmp_path / "out")
    assert len(paths) > 5
    for path in paths:
        rows = pq.read_table(path).to_pylist()
        account = read_account(path)
        assert account["counts"].get("documents", 0) == len(rows)
        assert account["counts"]["documents_read"] == len(rows) + sum(account["reasons"].values())
        assert not path.with_suffix(".quarantine.jsonl").exists()


class StopError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 2, 5, 11])
def test_a_stopped_attempt_goes_on_where_it_was(
    data: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    from sapwood.corpus import store, write

    source = Source(files=[str(data / "*.jsonl")])
    whole = prepared(source, tmp_path / "whole")
    written: list[str] = []

    def stopping(path: Path, content: bytes) -> None:
        # Stops now before a shard and now between the quarantine of a shard and the shard.
        if len(written) == stop_after:
            raise StopError
        written.append(path.name)
        original(path, content)

    original = write.write_atomic
    for _ in range(100):
        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(write, "write_atomic", stopping)
            patch.setattr(store, "write_atomic", stopping)
            try:
                resumed = prepared(source, tmp_path / "out")
                break
            except StopError:
                assert read_manifest(tmp_path / "out" / "web" / "documents") is None
        if stop_after == 1:
            stopping = original  # one write an attempt never gets past a shard with a quarantine
    assert resumed == whole
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_attempt_with_other_settings_starts_anew(
    data: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sapwood.corpus import store

    def stop(path: Path, content: bytes) -> None:
        if "00003" in path.name:
            raise StopError
        original(path, content)

    original = store.write_atomic
    source = Source(files=[str(data / "*.jsonl")])
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomic", stop)
        with pytest.raises(StopError):
            prepared(source, tmp_path / "out", mojibake=True)
    assert shards(tmp_path / "out")
    prepared(source, tmp_path / "out")
    prepared(source, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_writer_left_over_from_another_attempt_stops(data: Path, tmp_path: Path) -> None:
    source, out = Source(files=[str(data / "*.jsonl")]), tmp_path / "out"
    prepared(source, out)
    parts = split_files(list_files("web", source.files))
    stale = blocks(SourceStore(out / "web"), source, Normalise(), parts, "another")
    for path in shards(out):
        path.unlink()
    stream: Any = None
    for block in stale:
        stream = block.run(stream, 0, 1)
    with pytest.raises(SapwoodError, match="another run"):
        list(stream)
    assert not shards(out)
