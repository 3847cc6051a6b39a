from __future__ import annotations

import os
import re
import zipfile
from dataclasses import asdict
from pathlib import Path

import fsspec
import pytest

from sapwood.corpus.inputs import list_files, open_file, take_fingerprints
from sapwood.errors import SapwoodError
from sapwood.recipe import dump_recipe, load_recipe


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


ODD_NAMES = ["[2026] run", "a::b", "50% #1", "{x,y}", "what?", "st*r", "[ab]", "~", "zip:", "x[[]y"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_recipe_may_lie_anywhere(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a" / "data" / "zh-9.jsonl")  # what `[ab]` would match as a pattern
    here = tmp_path / name
    paths = [write(here / "data" / file) for file in ("zh-1.jsonl", "zh-2.jsonl", "part[1].jsonl", "en.jsonl")]
    write(
        here / "recipe.yaml",
        "name: a\nmodel: m\nsequence_length: 64\nsources:\n"
        "  zh: {files: data/zh-*.jsonl}\n  part: {files: 'data/part[1].jsonl'}\n"
        "  en: {files: ./data/../data/en.jsonl}\n"
        "groups: {new: {zh: 1, part: 1}, old: {en: 1}}\nstages: [{name: only, tokens: 1M, mixture: {new: 1, old: 1}}]\n"
        "training: {batch_tokens: 1K, learning_rate: 1e-4}\n"
        "evaluation: {gain: {domains: [new]}, retention: {domains: [old], margin: 0.01}}\n",
    )
    sources = load_recipe(here / "recipe.yaml").sources
    found = {source: [file.url for file in list_files(source, sources[source].files)] for source in sources}
    assert found == {"zh": paths[:2], "part": paths[2:3], "en": paths[3:]}
    write(here / "again.yaml", dump_recipe(load_recipe(here / "recipe.yaml")))
    again = load_recipe(here / "again.yaml").sources
    assert [file.url for file in list_files("zh", again["zh"].files)] == paths[:2]
    for file in list_files("zh", sources["zh"].files):
        with open_file(file) as stream:
            assert stream.read() == b"{}"
    take_fingerprints("zh", list_files("zh", sources["zh"].files), {})
    (here / "data" / "part[1].jsonl").unlink()
    with pytest.raises(SapwoodError, match=re.escape(f"no file matches {here}/data/part[1].jsonl")):
        list_files("part", sources["part"].files)


def test_a_file_that_is_reached_in_two_ways_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.jsonl")
    assert len(list_files("s", [path, str(tmp_path / "data" / ".." / "data" / "*.jsonl")])) == 1


def test_chains_of_file_systems_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.jsonl", "first")
        archive.writestr("deep/two.jsonl", "second")
    write(tmp_path / "b.jsonl", "third")
    chains = [f"zip://*.jsonl::{tmp_path}/a.zip", f"zip://deep/two.jsonl::{tmp_path}/a.zip"]
    files = list_files("s", [*chains, f"simplecache::file://{tmp_path}/?.jsonl"])
    contents = set()
    for file in files:
        with open_file(file) as stream:
            contents.add(stream.read())
    assert contents == {b"first", b"second", b"third"}
    assert set(take_fingerprints("s", files, {})) == {file.name for file in files}
