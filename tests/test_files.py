"""Records that carry the checksum of their content."""

from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from sapwood import files
from sapwood.errors import SapwoodError
from sapwood.files import (
    SEAL,
    append_line,
    atomic_directory,
    atomic_file,
    read_json,
    read_last_line,
    read_line,
    read_lines,
    refuse_changed,
    seal_text,
    sealed_line,
    write_json,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=5).filter(lambda name: name != SEAL), VALUES, max_size=4)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: dict[str, object]) -> None:
    assert read_line(sealed_line(record)) == record
    assert list(json.loads(sealed_line(record)))[-1] == SEAL


@given(RECORDS.filter(bool), st.data())
def test_no_flipped_bit_changes_what_is_read(record: dict[str, object], data: st.DataObject) -> None:
    line = bytearray(sealed_line(record))
    place = data.draw(st.integers(0, len(line) - 2))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = read_line(bytes(line))
    except ValueError:
        return
    # Another spelling of the same, or the name of the checksum, without which the rest is what it was.
    found = found if SEAL not in found else {}
    assert {name: found.get(name) for name in record} == record


def test_a_changed_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"tokens": 10, "share": 0.1}, sealed=True)
    assert read_json(path) == {"tokens": 10, "share": 0.1}
    path.write_text(json.dumps(json.loads(path.read_text())))  # in another layout
    assert read_json(path) == {"tokens": 10, "share": 0.1}
    path.write_text(path.read_text().replace("10", "11"))
    with pytest.raises(SapwoodError) as refused:
        read_json(path, "Do this.")
    assert str(refused.value) == f"{path} is damaged: its checksum is not that of its content. Do this."
    for content in (b"", b"{", b"\xff", b"\0" * 10):
        path.write_bytes(content)
        with pytest.raises(SapwoodError, match=r"a\.json is damaged: .*\. Do this\."):
            read_json(path, "Do this.")
    path.unlink()
    with pytest.raises(SapwoodError, match=r"a\.json cannot be read: No such file or directory\. Do this\."):
        read_json(path, "Do this.")


def test_a_damaged_line_is_numbered_and_a_torn_one_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for number in range(3):
        append_line(path, {"number": number})
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    assert [line["number"] for line in read_lines(path)] == [0, 1]
    append_line(path, {"number": 3})
    assert [line["number"] for line in read_lines(path)] == [0, 1, 3]
    for damage in (b'"number":9', b'"numbfr":1', b""):
        path.write_bytes(content.replace(b'"number":1', damage))
        with pytest.raises(SapwoodError, match=r"a\.jsonl is damaged: line 2: "):
            read_lines(path)


def test_a_changed_text_is_refused_unless_its_first_line_goes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(seal_text("name: tiny\nseed: 1\n"))
    refuse_changed(path)
    for changed in (path.read_text().replace("seed: 1", "seed: 2"), path.read_text().replace("\nname", " name")):
        path.write_text(changed)
        with pytest.raises(SapwoodError, match=r"recipe\.yaml is damaged, or was changed by hand\. Remove it"):
            refuse_changed(path)
    path.write_text("name: tiny\nseed: 2\n")
    refuse_changed(path)


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("I/O error: No space left on device (os error 28)"),
        OSError("4096 requested and 1024 written"),
        OSError(errno.ENOSPC, "No space left on device", "/elsewhere/config.json"),
    ],
    ids=["safetensors", "numpy", "a copy, by what is read"],
)
@pytest.mark.parametrize("write", [atomic_file, atomic_directory])
def test_a_full_disk_names_what_is_written(tmp_path: Path, write: Any, error: Exception) -> None:
    with pytest.raises(OSError, match="No space left") as raised, write(tmp_path / "new"):
        raise error
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "new"))
    assert not list(tmp_path.iterdir())


@given(st.lists(RECORDS, max_size=6), st.binary(max_size=5).filter(lambda rest: b"\n" not in rest), st.integers(1, 40))
def test_the_last_line_is_read_from_the_end(records: list[dict[str, Any]], rest: bytes, block: int) -> None:
    """Whatever is in the file, however long a line is, and where a crash cut the one after it."""
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(files, "_TAIL_BYTES", block):
        path = Path(directory) / "log.jsonl"
        path.write_bytes(b"".join(map(sealed_line, records)) + rest)
        lines = read_lines(path)
        assert read_last_line(path) == (lines[-1] if lines else None)


def test_the_last_line_of_a_log_does_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"damaged\n" * 100_000 + sealed_line({"step": 7}))
    assert read_last_line(path) == {"step": 7}
    path.write_bytes(sealed_line({"step": 7}) + b"damaged\n")
    with pytest.raises(SapwoodError, match=r"log\.jsonl is damaged"):
        read_last_line(path)
    assert read_last_line(tmp_path / "none.jsonl") is None
