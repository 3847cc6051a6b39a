"""Records that were written down before: one JSON line each, found by its key, appended as they come."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import orjson


class Lines:
    """The records in a file. A process that is killed loses those that are under way, and no other.

    In memory is only where in the file each record stands. Others may read the file meanwhile, or append to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = dict(_places(path))
        self._file: FileIO | None = None
        self._appending = False

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> Any:
        """The record with this key, a dictionary; None where there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        try:
            return orjson.loads(_line(self._open(), place))
        except ValueError:
            self.forget(key)
            return None

    def forget(self, key: str) -> None:
        """Counts what cannot be read as what was never written."""
        del self._places[key]

    def put(self, key: str, record: Any) -> None:
        """Writes a record, which orjson must turn into an object, on the disk at once."""
        file = self._open()
        if not self._appending:
            _remove_cut_line(file)
            self._appending = True
        line = _HEAD + key.encode() + b'",' + orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)[1:]
        if file.write(line) < len(line):
            self._appending = False  # or else the next line would go on where this one was cut
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._places[key] = file.tell() - len(line)  # it went to the end of the file, wherever that was by then

    def _open(self) -> FileIO:
        # It stays open: to open it for every record takes longer than to write one.
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
            weakref.finalize(self, self._file.close)
        return self._file


_HEAD = b'{"key":"'
_KEY = slice(len(_HEAD), len(_HEAD) + 32)


def _places(path: Path) -> Iterator[tuple[str, int]]:
    """The keys in a file, and where their lines begin. A last line that was cut short is left out."""
    if not path.exists():
        return
    place = 0
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            if line.endswith(b"\n"):
                with suppress(ValueError, KeyError):
                    quick = line.startswith(_HEAD) and line[_KEY.stop : _KEY.stop + 1] == b'"'
                    yield line[_KEY].decode() if quick else orjson.loads(line)["key"], place
            place += len(line)


def _line(file: FileIO, place: int) -> bytes:
    size = 1 << 13
    while True:
        block = os.pread(file.fileno(), size, place)
        end = block.find(b"\n")
        if end >= 0 or len(block) < size:
            return block[:end]
        size *= 4


def _remove_cut_line(file: FileIO) -> None:
    size = file.seek(0, os.SEEK_END)
    if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
