"""Answers that were given before: one JSON line each, appended as they come."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import orjson
import xxhash

from sapwood.recipe.server import ModelServer


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked."""

    messages: tuple[dict[str, str], ...]
    """`role` and `content` of each."""
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    """The longest answer."""
    stop: tuple[str, ...] = ()
    """The answer ends before any of these."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the answer must follow, where the server can see to that."""
    prompt: str = ""
    """Which prompt it was made by, and which version of it."""
    sample: int = 0
    """Tells apart several answers to the same question."""

    def key(self, server: ModelServer) -> str:
        """Identifies the answer of a model, on whatever server."""
        content = orjson.dumps([server.model, server.revision, self], option=orjson.OPT_SORT_KEYS)
        return xxhash.xxh3_128_hexdigest(content)

    def parameters(self) -> dict[str, Any]:
        """How the answer is to be made, as OpenAI's protocol puts it."""
        values: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        if self.stop:
            values["stop"] = list(self.stop)
        if self.schema is not None:
            answer = {"name": "answer", "schema": self.schema, "strict": True}
            values["response_format"] = {"type": "json_schema", "json_schema": answer}
        return values

    def body(self, server: ModelServer) -> dict[str, Any]:
        """What is sent to `/chat/completions`, or stands in a line of a batch file."""
        return {"model": server.model, "messages": list(self.messages), **self.parameters()}


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered."""

    text: str
    """May be empty: that is an answer too."""
    finish_reason: str
    """`stop` where the answer is whole, `length` where it was cut off."""
    prompt_tokens: int
    completion_tokens: int

    @staticmethod
    def from_body(body: Any) -> Completion:
        """Reads the body of a response of `/chat/completions`. Raises ValueError for another form."""
        try:
            choice = body["choices"][0]
            usage = body.get("usage") or {}
            return Completion(
                text=str(choice["message"].get("content") or ""),
                finish_reason=str(choice.get("finish_reason") or ""),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"an answer in another form than OpenAI's ({type(error).__name__})") from None


class Cache:
    """The answers in a file. A process that is killed loses those that are under way, and no other.

    In memory is only where in the file each answer stands. Others may read the file meanwhile, or append to it.
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

    def get(self, key: str) -> Completion | None:
        """The answer, if there is one."""
        place = self._places.get(key)
        if place is None:
            return None
        try:
            line = orjson.loads(_line(self._open(), place))
            return Completion(line["text"], line["finish_reason"], line["prompt_tokens"], line["completion_tokens"])
        except (ValueError, KeyError):  # what cannot be read was not answered
            del self._places[key]
            return None

    def put(self, key: str, completion: Completion) -> None:
        """Remembers an answer, on the disk too."""
        file = self._open()
        if not self._appending:
            _remove_cut_line(file)
            self._appending = True
        line = _HEAD + key.encode() + b'",' + orjson.dumps(completion, option=orjson.OPT_APPEND_NEWLINE)[1:]
        if file.write(line) < len(line):
            self._appending = False  # or else the next line would go on where this one was cut
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._places[key] = file.tell() - len(line)  # it went to the end of the file, wherever that was by then

    def _open(self) -> FileIO:
        # It stays open: to open it for every answer takes longer than to write one.
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
