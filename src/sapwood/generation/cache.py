"""Answers that were given before: one JSON line each, appended as they come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash

from sapwood.files import append_line, read_lines
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
        content = [server.model, server.revision, asdict(self)]
        return xxhash.xxh3_128_hexdigest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))

    def parameters(self) -> dict[str, Any]:
        """How the answer is to be made, as OpenAI's protocol puts it."""
        values: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        if self.stop:
            values["stop"] = list(self.stop)
        if self.schema is not None:
            answer = {"name": "answer", "schema": self.schema, "strict": True}
            values["response_format"] = {"type": "json_schema", "json_schema": answer}
        return values


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered."""

    text: str
    finish_reason: str
    """`stop` where the answer is whole, `length` where it was cut off."""
    prompt_tokens: int
    completion_tokens: int


class Cache:
    """The answers in a file. A process that is killed loses those that are under way, and no other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found = {line["key"]: _completion(line) for line in read_lines(path)}

    def get(self, key: str) -> Completion | None:
        """The answer, if there is one."""
        return self._found.get(key)

    def put(self, key: str, completion: Completion) -> None:
        """Remembers an answer, on the disk too."""
        append_line(self.path, {"key": key, **asdict(completion)}, durable=False)
        self._found[key] = completion


def _completion(line: dict[str, Any]) -> Completion:
    return Completion(line["text"], line["finish_reason"], line["prompt_tokens"], line["completion_tokens"])
