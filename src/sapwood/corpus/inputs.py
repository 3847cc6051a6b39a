"""The files of a source: which there are, and what is in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem

from sapwood.corpus.formats import ARCHIVES, FORMATS, JSON_LINES, PARQUET, WEB, format_of
from sapwood.corpus.formats.page import require_extraction
from sapwood.corpus.formats.parquet import row_groups
from sapwood.errors import SapwoodError
from sapwood.files import file_version, fingerprint, hash_file, locate

_ESCAPED = re.compile(r"\[([\[*?])\]")
"""A sign of patterns that stands for itself."""
_COUNTED_BYTES = 1 << 22

PART_BYTES = 256 * 2**20
"""Larger files are read in parts, where their format allows it."""

Known = Mapping[str, Mapping[str, Any]]
"""Earlier fingerprints by file name, as dictionaries."""

_VERSION = {
    *("size", "etag", "lastmodified", "contentmd5", "digest", "md5", "md5hash", "crc", "crc32c", "checksum"),
    *("generation", "versionid", "sha", "blobid", "mtime", "modified", "modificationtime", "updated", "created"),
    *("datetime",),
}
"""What stores say of a file that changes with its content, without regard to case, hyphens and underscores. All else
that they say differs between two ways of asking, such as the date of the last access."""


class NoFileError(SapwoodError):
    """No file is where a source names one."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read documents from."""

    name: str
    """How the file is called in the origins of its documents."""
    url: str
    """What to open: a local path, or a URL that fsspec knows."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or what one task reads of it."""

    file: InputFile
    start: int
    """The first byte in JSONL, the first row group in Parquet; else 0."""
    stop: int
    """The byte, or the row group, after the last."""
    row: int
    """The number of the first row, counted in the file."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is in a file, as far as it takes to know it again."""

    size: int
    """Bytes."""
    hash: str
    """Of a local file, the hash of its content; of a remote one, what its store says of its version."""
    version: str
    """Which file it was, and when it was last changed. Spares the hashing, shows a change in the middle of reading, and
    identifies nothing: an equal file may have another."""


def list_files(source: str, patterns: Sequence[str]) -> list[InputFile]:
    """The files that the patterns stand for, each once, sorted by name.

    A pattern that is the path of a file is that file, whatever signs it has. A file's name is its path below the
    directory that all files of the source share: where that lies, nobody need know.

    Raises NoFileError where a pattern matches nothing, and SapwoodError where there is no pattern, or a file is in no
    format that can be read.
    """
    if not patterns:
        raise SapwoodError(f"Source '{source}' names no files: there is nothing to prepare.")
    files = {file.url: file for pattern in patterns for file in _matches(source, pattern)}
    parts = {url: file.name.split("/") for url, file in files.items()}
    shared = len(os.path.commonprefix([folders[:-1] for folders in parts.values()]))  # noqa: RUF071 - of lists, by element
    named = [replace(file, name="/".join(parts[url][shared:])) for url, file in files.items()]
    return sorted(named, key=lambda file: file.name)


def _matches(source: str, pattern: str) -> list[InputFile]:
    try:
        system, path = locate(pattern)
        plain = _shown(path)
        literal = not has_magic(_ESCAPED.sub("", path)) or system.exists(plain)
        paths = [plain] if literal else system.glob(path)
        details = [system.info(found) for found in paths]
    except FileNotFoundError:
        missing = _printable(_shown(pattern))
        raise NoFileError(f"Source '{source}': cannot open {missing}: there is no such file") from None
    except (ImportError, ValueError, OSError) as error:
        raise SapwoodError(_cannot_open(source, pattern, error)) from None
    if literal and details[0]["type"] == "directory":
        raise SapwoodError(
            f"Source '{source}': {_shown(pattern)} is a directory. "
            f"Write a pattern such as {_shown(pattern.rstrip('/'))}/*.jsonl"
        )
    local = isinstance(system, LocalFileSystem)
    files = []
    for detail in details:
        url = _resolved(detail["name"]) if local else _address(pattern, system, detail["name"])
        name = _printable(_name(url))
        kind = format_of(name)
        if detail["type"] == "directory":
            if kind is not None:  # some programs write such directories in place of files
                raise SapwoodError(f"Source '{source}': {name} is a directory. Write a pattern such as {name}/*{kind}")
            continue
        if local and detail["type"] == "other":
            raise SapwoodError(
                f"Source '{source}': {name} is a pipe, a socket or a device, which cannot be read twice. Write what it "
                "gives into a file."
            )
        if kind is None:
            raise SapwoodError(
                f"Source '{source}': {url} is in no format that can be read: {', '.join(FORMATS)}; "
                f"all but {PARQUET} also with {', '.join(ARCHIVES[:-1])} or {ARCHIVES[-1]} after it"
            )
        if kind in WEB:
            require_extraction()
        files.append(InputFile(name=name, url=url, size=int(detail["size"] or 0)))
    if not files:
        raise NoFileError(f"Source '{source}': no file matches {_shown(pattern)}")
    return files


def _resolved(path: str) -> str:
    """A local path without `..`: a file that is reached in two ways is one."""
    return str(Path(path).parent.resolve() / Path(path).name) if ".." in Path(path).parts else path


def _address(pattern: str, system: AbstractFileSystem, path: str) -> str:
    """The address of a file that a pattern matches; in a chain, the part that has the path gets that of the file."""
    links = pattern.split("::")
    if len(links) == 1:
        return str(system.unstrip_protocol(path))
    place = next(number for number, link in enumerate(links) if "://" in link)
    links[place] = f"{links[place].split('://')[0]}://{path}"
    return "::".join(links)


def _name(url: str) -> str:
    """The path that a file's name is cut from: of a file in an archive, it begins with the archive's."""
    links = url.split("::") if "://" in url else [url]
    return url if len(links) == 1 else "/".join(link.split("://")[-1] for link in reversed(links) if "/" in link)


def split_files(files: Iterable[InputFile]) -> list[Part]:
    """What is read at a time: files, and parts of about `PART_BYTES` of those that are larger.

    Parquet is split by row groups; JSON Lines on local disks, where no archive, by bytes, at the ends of lines. Where
    that is follows from the file alone. To know the number of a part's first row, such a file is read through once.
    """
    return [part for file in files for part in _split(file)]


def _split(file: InputFile) -> Iterable[Part]:
    if file.size > PART_BYTES and format_of(file.name) == PARQUET:
        with open_file(file) as stream:
            groups = row_groups(stream)
        if groups:
            return _by_groups(file, groups)
    local = isinstance(locate(file.url)[0], LocalFileSystem)
    if file.size > PART_BYTES and local and file.name.lower().endswith(JSON_LINES):
        return _by_lines(file)
    return [Part(file, 0, file.size, 0, file.size)]


def _by_groups(file: InputFile, groups: list[tuple[int, int]]) -> Iterator[Part]:
    start = rows = first = size = 0
    for number, (count, length) in enumerate(groups, 1):
        size += length
        rows += count
        if size >= PART_BYTES or number == len(groups):
            yield Part(file, start, number, first, size)
            start, first, size = number, rows, 0


def _by_lines(file: InputFile) -> Iterator[Part]:
    start = row = lines = place = 0
    with Path(file.url).open("rb") as stream:
        while block := stream.read(_COUNTED_BYTES):
            end = block.rfind(b"\n") + 1
            while end and place + end - start >= PART_BYTES:
                cut = block.find(b"\n", max(0, start + PART_BYTES - place - 1)) + 1
                lines += block.count(b"\n", 0, cut)
                yield Part(file, start, place + cut, row, place + cut - start)
                start, row = place + cut, row + lines
                place, block, end, lines = place + cut, block[cut:], end - cut, 0
            lines += block.count(b"\n")
            place += len(block)
    if start < file.size:
        yield Part(file, start, file.size, row, file.size - start)


def take_fingerprints(source: str, files: Sequence[InputFile], known: Known) -> dict[str, Fingerprint]:
    """What is in each file, by name. A local file that has the version in `known` is not read again.

    Raises SapwoodError where a file cannot be opened, or changes meanwhile.
    """
    found = {}
    versions = _versions(source, files)
    for file in files:
        version, before = versions[file.name], known.get(file.name, {})
        if not isinstance(locate(file.url)[0], LocalFileSystem):
            content = fingerprint(version)
        elif before.get("version") == version:
            content = before["hash"]
        else:
            try:
                content = hash_file(Path(file.url))
            except OSError as error:
                raise SapwoodError(_cannot_open(source, file.url, error)) from None
        found[file.name] = Fingerprint(file.size, content, version)
    require_unchanged(source, files, found)
    return found


def require_unchanged(source: str, files: Sequence[InputFile], taken: Mapping[str, Fingerprint]) -> None:
    """Raises SapwoodError where a file is no longer what it was when its fingerprint was taken."""
    versions = _versions(source, files)
    changed = [file for file in files if versions[file.name] != taken[file.name].version]
    if changed:
        others = f" and {len(changed) - 1} other files" if len(changed) > 1 else ""
        raise SapwoodError(
            f"Source '{source}': {_printable(changed[0].url)}{others} changed while being read, so nothing of the "
            "source is kept. Run the same command again when nothing writes there any more: it reads all anew."
        )


def _versions(source: str, files: Sequence[InputFile]) -> dict[str, str]:
    """The versions of files, by name, as they are now."""
    for system in {id(system): system for system in (locate(file.url)[0] for file in files)}.values():
        system.invalidate_cache()
    found = {}
    for file in files:
        try:
            found[file.name] = _version(file.url)
        except (ImportError, ValueError, OSError) as error:
            raise SapwoodError(_cannot_open(source, file.url, error)) from None
    return found


def _version(url: str) -> str:
    system, path = locate(url)
    if isinstance(system, LocalFileSystem):
        return file_version(Path(path))
    info = {key.lower().replace("-", "").replace("_", ""): value for key, value in system.info(path).items()}
    return " ".join(f"{key}={info[key]}" for key in sorted(_VERSION & info.keys()))


@contextmanager
def open_file(file: InputFile) -> Iterator[Any]:
    """The bytes of the file, as they are stored."""
    system, path = locate(file.url)  # held, since an archive closes its file when it is forgotten
    with system.open(path, "rb") as stream:
        yield stream


def _printable(name: str) -> str:
    """A name as text: bytes of it that are no UTF-8, which Python keeps as surrogates, are written as `\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _cannot_open(source: str, name: str, error: Exception) -> str:
    return f"Source '{source}': cannot open {_printable(_shown(name))}: {error or type(error).__name__}"


def _shown(pattern: str) -> str:
    return _ESCAPED.sub(r"\1", pattern)
