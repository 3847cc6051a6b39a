"""Files that appear whole or not at all, and fingerprints of what is in them."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import xxhash
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from sapwood.errors import SapwoodError


def locate(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path in it.

    What has `://` is an address of fsspec, chains such as `zip://*.jsonl::/data/a.zip` among them. All else is a local
    path, whatever signs its names have: fsspec itself takes `a::b` for a chain.
    """
    if "://" in address:
        system, path = url_to_fs(address)
        return system, str(path)
    return LocalFileSystem(), str(Path(os.path.expanduser(address)).absolute())  # noqa: PTH111 - leaves `./~` alone


def fingerprint(value: Any) -> str:
    """A 16-digit hexadecimal fingerprint of a JSON-like value, whatever the order of its keys."""
    return xxhash.xxh3_64_hexdigest(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def hash_file(path: Path) -> str:
    """The 128-bit xxh3 of a local file's bytes, in hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Writes `content` to `path`: a reader, or a crash, sees the old file or the new one, never a part."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives the path of a temporary file that becomes `path` when the block ends well, and is removed otherwise."""
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            yield temporary
            _sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented and in UTF-8, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return orjson.loads(path.read_bytes())


def append_line(path: Path, record: dict[str, Any], *, durable: bool = True) -> None:
    """Appends one JSON line. With `durable`, it is on the disk when this returns.

    A line that a crash cut short is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path), path.open("a+b") as file:
        if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads a JSONL file that `append_line` wrote. A last line cut short by a crash is left out."""
    if not path.exists():
        return []
    content = path.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    return [orjson.loads(line) for line in complete.splitlines() if line]


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Replaces a JSONL file as a whole, atomically."""
    write_atomic(path, b"".join(orjson.dumps(record) + b"\n" for record in records))


def map_array(path: Path, *, scattered: bool = False) -> npt.NDArray[Any]:
    """Maps an array of numpy into memory, for reading.

    `scattered` keeps the system from reading on behind every place that is looked at: on disks set up for long reads
    that costs megabytes for each.
    """
    mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if scattered and len(mapped):
        _memory(mapped).madvise(mmap.MADV_RANDOM)
    return mapped


def fetch(mapped: npt.NDArray[Any], first: int, count: int) -> None:
    """Asks the system to read a stretch of a scattered map at once, and not page by page."""
    size = count * mapped.itemsize
    if size > mmap.PAGESIZE:
        begin = mapped.offset % mmap.ALLOCATIONGRANULARITY + first * mapped.itemsize  # type: ignore[attr-defined]
        page = begin - begin % mmap.PAGESIZE
        _memory(mapped).madvise(mmap.MADV_WILLNEED, page, begin + size - page)


def _memory(mapped: npt.NDArray[Any]) -> mmap.mmap:
    memory: mmap.mmap = mapped._mmap  # type: ignore[attr-defined]  # numpy has no other name for it
    return memory


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Gives a temporary directory that becomes `path` when the block ends well, and is removed otherwise.

    What stood at `path` before is replaced.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync_file(file)
            sync_directory(temporary)
            stale = _put_away(path)
            temporary.replace(path)
            if stale is not None:
                shutil.rmtree(stale)
            sync_directory(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Names the file in errors of the system, which says of a full disk only that it is full."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename).endswith(".tmp")):
            error.filename = str(path)
        raise


@contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """Raises SapwoodError where one of these local files is changed while the block reads it."""
    before = [file_version(path) for path in paths]
    yield
    for path, version in zip(paths, before, strict=True):
        if not path.exists() or file_version(path) != version:
            raise SapwoodError(
                f"{path} changed while being read. Run the same command again when nothing writes to it any more."
            )


def file_version(path: Path) -> str:
    """Tells a local file from what it was before a change, without reading it."""
    status = path.stat()
    # The time of the last change to the inode cannot be set, unlike that of the last write.
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def remove_directory(path: Path) -> None:
    """Removes a directory, if it is there: a reader, or a crash, sees it whole or not at all.

    What a kill leaves of it is a leftover (`remove_leftovers`).
    """
    stale = _put_away(path)
    if stale is not None:
        shutil.rmtree(stale)


def _put_away(path: Path) -> Path | None:
    """Gives a directory a name that no one looks for; None where it is not there."""
    if not path.exists():
        return None
    stale = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    return path.replace(stale)


def remove_leftovers(directory: Path) -> None:
    """Removes the temporary files and directories that a killed process left in `directory`."""
    for path in [*directory.glob(".*.tmp"), *directory.glob(".*.old")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Waits until the disk knows what a directory holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
