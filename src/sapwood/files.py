"""Files that appear whole or not at all, fingerprints of what is in them, and what is said of those that are damaged.

A JSON file or line that is `sealed` carries the checksum of its content as its last field. Readers check and remove it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import xxhash
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from sapwood.errors import SapwoodError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# numpy says how much of an array it has written, safetensors raises an error of its own; neither gives an errno.
_SAID_OF_DISK = re.compile(r"\d+ requested and \d+ written|\(os error (28|122)\)")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that a disk, or a quota, is full."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in DISK_FULL
    return _SAID_OF_DISK.search(str(error)) is not None


def locate(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path in it.

    What has `://` is an address of fsspec, chains such as `zip://*.jsonl::/data/a.zip` among them. All else is a local
    path, whatever signs its names have: fsspec itself takes `a::b` for a chain.
    """
    if "://" in address:
        system, path = url_to_fs(address)
        return system, str(path)
    return LocalFileSystem(), str(Path(os.path.expanduser(address)).absolute())  # noqa: PTH111 - leaves `./~` alone


_TAIL_BYTES = 1 << 14
"""So much of a file's end is read at once: some logged steps, or one of many domains."""
SEAL = "xxh3"
"""The field with the checksum: xxh3 of the rest, by sorted keys, in hexadecimal."""
_FIRST_LINE = "# Written by Sapwood; changes belong into your own file. xxh3 "
RESTORE = "Restore it from a copy."
"""What to do where a file is damaged of which nothing better is known."""


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


def is_there(path: Path) -> bool:
    """Whether something has this name. A link that leads nowhere has, and is damage, and not a file that is missing."""
    return path.exists() or path.is_symlink()


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Raises SapwoodError where a file of ours cannot be read, or is not what we write; `remedy` says what to do."""
    try:
        yield
    except (SapwoodError, MemoryError):
        raise
    except OSError as error:
        raise SapwoodError(f"{path} cannot be read: {_what(error)}. {remedy}") from error
    except Exception as error:  # parsers have errors of many kinds
        raise SapwoodError(f"{path} is damaged: {_what(error)}. {remedy}") from error


def _what(error: Exception) -> str:
    """The first line of an error of a parser, in a sentence."""
    said = str(error).partition("\n")[0].rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"the field {said} is missing"
    return said or type(error).__name__


def write_json(path: Path, value: Any, *, sealed: bool = False) -> None:
    """Writes a JSON file, indented and in UTF-8, atomically. One that is `sealed` is an object."""
    content = {**value, SEAL: _checksum(value)} if sealed else value
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str = RESTORE) -> Any:
    """Reads a JSON file. Raises SapwoodError where it is not there or damaged; `remedy` says what to do then."""
    with reading(path, remedy):
        return _unsealed(orjson.loads(path.read_bytes()))


def seal_text(text: str) -> str:
    """The text of a YAML file that a command writes, with its checksum in the first line (`refuse_changed`)."""
    return f"{_FIRST_LINE}{xxhash.xxh3_64_hexdigest(text.encode())}\n{text}"


def refuse_changed(path: Path) -> None:
    """Raises SapwoodError where a file that `seal_text` made is not what it was."""
    first, _, rest = path.read_bytes().partition(b"\n")
    if first.startswith(_FIRST_LINE.encode()) and not first.endswith(xxhash.xxh3_64_hexdigest(rest).encode()):
        raise SapwoodError(
            f"{path} is damaged, or was changed by hand. Remove it and name your own recipe, from which it is written "
            "again; or, if the change is meant, remove its first line."
        )


def sealed_line(record: dict[str, Any]) -> bytes:
    """A record as a line of JSON, sealed."""
    line = orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
    seal = f'{"," if record else ""}"{SEAL}":"{_checksum(record)}"}}\n'
    return line[:-1] + seal.encode()


def read_line(line: bytes) -> Any:
    """A line of JSON. Raises ValueError where it is damaged."""
    return _unsealed(orjson.loads(line))


def _checksum(value: Any) -> str:
    content = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    return xxhash.xxh3_64_hexdigest(content)


def _unsealed(value: Any) -> Any:
    if isinstance(value, dict) and SEAL in value:
        seal = value.pop(SEAL)
        if seal != _checksum(value):
            raise ValueError("its checksum is not that of its content")
    return value


def append_line(path: Path, record: dict[str, Any], *, durable: bool = True) -> None:
    """Appends one line of JSON, sealed. With `durable`, it is on the disk when this returns.

    A line that a crash cut short is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path), path.open("a+b") as file:
        if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(sealed_line(record))
        file.flush()
        if durable:
            os.fsync(file.fileno())


def read_lines(path: Path, remedy: str = RESTORE) -> list[dict[str, Any]]:
    """Reads a JSONL file that `append_line` wrote; of one that is not there, nothing.

    A last line cut short by a crash is left out. Raises SapwoodError where another one is damaged; `remedy` says what
    to do then.
    """
    if not is_there(path):
        return []
    with reading(path, remedy):
        content = path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        records = []
        for number, line in enumerate(complete.split(b"\n")[:-1], 1):
            try:
                records.append(_object(read_line(line)))
            except ValueError as error:
                raise ValueError(f"line {number}: {_what(error)}") from None
        return records


def read_last_line(path: Path, remedy: str = RESTORE) -> dict[str, Any] | None:
    """The last whole line of such a file, read from its end: a log of many steps costs no more than a short one.

    None where there is no file, or no whole line in it. Raises SapwoodError where that line is damaged.
    """
    if not is_there(path):
        return None
    with reading(path, remedy), path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        content = b""
        while start and content.count(b"\n") < 2:
            step = min(start, _TAIL_BYTES)
            start -= step
            content = os.pread(file.fileno(), step, start) + content
        whole = content[: content.rfind(b"\n")].rpartition(b"\n")[2] if b"\n" in content else b""
        return _object(read_line(whole)) if whole else None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}, expected an object")
    return value


def write_lines(path: Path, records: Iterable[dict[str, Any]], *, sealed: bool = False) -> None:
    """Replaces a JSONL file as a whole, atomically."""
    write_atomic(path, b"".join(sealed_line(record) if sealed else orjson.dumps(record) + b"\n" for record in records))


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
    except Exception as error:
        if is_disk_full(error):  # of a copy the system names the file that is read
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if isinstance(error, OSError) and error.errno is not None:
            parts = Path(os.fsdecode(error.filename)).parts if isinstance(error.filename, str | bytes) else (".tmp",)
            if any(part.endswith(".tmp") for part in parts):
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
