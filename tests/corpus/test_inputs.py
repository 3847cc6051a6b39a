from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import fsspec
import pytest

from sapwood.corpus.inputs import list_files, open_file, take_fingerprints
from sapwood.errors import SapwoodError


def write(path: Path, content: str = "{}") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return str(path)


def test_lists_each_file_once_and_sorted(tmp_path: Path) -> None:
    paths = [write(tmp_path / name) for name in ("b.jsonl", "a.jsonl", "c.parquet", "deep/d.jsonl.zst")]
    files = list_files("s", [str(tmp_path / "**" / "*.jsonl*"), str(tmp_path / "?.jsonl"), paths[2]])
    assert [file.url for file in files] == sorted(paths)
    assert [file.name for file in files] == ["a.jsonl", "b.jsonl", "c.parquet", "deep/d.jsonl.zst"]
    assert {file.size for file in files} == {2}


def test_a_name_with_brackets_is_taken_literally(tmp_path: Path) -> None:
    path = write(tmp_path / "part[1].jsonl")
    assert [file.url for file in list_files("s", [path])] == [path]


def test_reads_from_other_file_systems() -> None:
    with fsspec.open("memory://bucket/x.jsonl", "wb") as stream:
        stream.write(b"content")
    (file,) = list_files("s", ["memory://bucket/*.jsonl"])
    assert file.url.startswith("memory://")
    with open_file(file) as stream:
        assert stream.read() == b"content"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("none-*.jsonl", "no file matches"),
        ("none.jsonl", "cannot open"),
        ("", "is a directory"),
        ("a.yaml", "no format"),
    ],
)
def test_what_cannot_be_listed_is_named(tmp_path: Path, pattern: str, message: str) -> None:
    write(tmp_path / "a.yaml")
    with pytest.raises(SapwoodError, match=message) as error:
        list_files("web", [str(tmp_path / pattern)])
    assert "'web'" in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("url", ["unknown://x/*.jsonl", "s3://bucket/*.jsonl"])
def test_a_file_system_that_is_not_there_is_a_user_error(url: str) -> None:
    with pytest.raises(SapwoodError, match="cannot open"):
        list_files("web", [url])


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "first")
    files = list_files("s", [path])
    before = take_fingerprints("s", files, {})
    known = {"a.jsonl": {**asdict(before["a.jsonl"]), "hash": "remembered"}}
    assert take_fingerprints("s", files, known)["a.jsonl"].hash == "remembered"
    os.utime(path, ns=(0, 0))
    assert take_fingerprints("s", files, known)["a.jsonl"].hash == before["a.jsonl"].hash


def test_another_content_gives_another_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "first")
    files = list_files("s", [path])
    before = take_fingerprints("s", files, {})
    write(tmp_path / "a.jsonl", "other")
    assert take_fingerprints("s", files, {})["a.jsonl"].hash != before["a.jsonl"].hash


def test_remote_files_are_known_by_what_their_store_says() -> None:
    prints = []
    for content in (b"first", b"other"):
        with fsspec.open("memory://prints/x.jsonl", "wb") as stream:
            stream.write(content)
        prints.append(take_fingerprints("s", list_files("s", ["memory://prints/x.jsonl"]), {}))
    assert prints[0] != prints[1]
