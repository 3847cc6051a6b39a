"""What models are asked, and what they answered before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson
import xxhash

from sapwood.generation.lines import Lines
from sapwood.recipe.server import ModelServer

MOST_TOKENS = 10**8
"""Of one request. A server that counts more is not believed."""
RUNS = 3
"""In so many runs a request may go without an answer, while others are answered, before it is given up."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked."""

    path: ClassVar[str] = "chat/completions"
    """Where a server takes it, below its root."""

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
            choices = body["choices"]
            choice = next((choice for choice in choices if choice.get("index") == 0), choices[0])
            content, finish = choice["message"].get("content"), choice.get("finish_reason")
            usage = body.get("usage")
            counts = usage if isinstance(usage, dict) else {}
            if not isinstance(content, str | None):
                content = "".join(part["text"] for part in content)
            return Completion(
                text=content or "",
                finish_reason=finish if isinstance(finish, str) else "",
                prompt_tokens=_tokens(counts.get("prompt_tokens")),
                completion_tokens=_tokens(counts.get("completion_tokens")),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"an answer in another form than OpenAI's ({type(error).__name__})") from None


def _tokens(said: Any) -> int:
    """A count of tokens; 0 where a server says what none can be: text, a negative number, more than any model reads."""
    number = isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said <= MOST_TOKENS
    return int(said) if number else 0


class Cache:
    """The answers in a file (`Lines`)."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, key: str) -> Completion | None:
        """The answer, if there is one."""
        line = self._lines.get(key)
        if line is None or _FAILED in line:
            return None
        try:
            return Completion(line["text"], line["finish_reason"], line["prompt_tokens"], line["completion_tokens"])
        except KeyError:  # what cannot be read was not answered
            self._lines.forget(key)
            return None

    def put(self, key: str, completion: Completion) -> None:
        """Remembers an answer, on the disk too."""
        self._lines.put(key, completion)

    def fail(self, key: str, run: str, reason: str) -> None:
        """Remembers that there was no answer in a run, while others were answered. A run counts once."""
        runs = self._failed(key)
        if run not in runs:
            self._lines.put(key, {_FAILED: [*runs, run], "reason": reason})

    def failures(self, key: str) -> int:
        """In how many runs there was none, since the last answer."""
        return len(self._failed(key))

    def given_up(self, key: str) -> str | None:
        """Why there will be no answer, where there was none in `RUNS` runs."""
        if self.failures(key) < RUNS:
            return None
        return f"no answer in {RUNS} runs: {self._lines.get(key).get('reason')}"

    def _failed(self, key: str) -> list[str]:
        line = self._lines.get(key)
        return [] if line is None else list(line.get(_FAILED, ()))


_FAILED = "failed"
