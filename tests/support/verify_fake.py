"""A server on this machine that answers as it is told, for tests of stages, and items for them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import Failure, complete
from sapwood.recipe.server import ModelServer
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask

Say = Callable[[str, int], str | int]
"""What to say to a prompt that was asked so often before: a text, or a status."""


@contextmanager
def serving(say: Say) -> Iterator[tuple[ModelServer, Counter[str]]]:
    """A model that answers so, and how often it was asked what."""
    asked: Counter[str] = Counter()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            with lock:
                before = asked[prompt]
                asked[prompt] += 1
            said = say(prompt, before)
            status, content = (said, {"error": "no"}) if isinstance(said, int) else (200, reply(said))
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    class Patient(ThreadingHTTPServer):
        request_queue_size = 128  # with 5, a client that comes with more has to knock again after a second

    server = Patient(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield ModelServer(url=f"http://127.0.0.1:{server.server_port}/v1", model="fake"), asked
    finally:
        server.shutdown()
        server.server_close()


def reply(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 3}}


def asking(directory: Path) -> Ask:
    """Asks servers, with a cache in a directory."""
    cache = Cache(directory / "answers.jsonl")

    def ask(server: ModelServer, requests: Sequence[Request]) -> list[Completion | Failure]:
        return complete(server, requests, cache)

    return ask


def sections(**parts: str) -> str:
    """An answer in sections, by their headings."""
    return "\n".join(f"[{heading}]\n{text}" for heading, text in parts.items()) + "\n<END>"


def answered(text: str) -> str:
    return sections(Reasoning="So it is.", Answer=text)


def judged(word: str) -> str:
    return sections(Reason="Because.", Verdict=word)


def in_turn(prompts: dict[str, Sequence[str | int]]) -> Say:
    """Says, to prompts with a certain text in them, one thing after the other, and again from the first."""

    def say(prompt: str, before: int) -> str | int:
        (found,) = [said for text, said in prompts.items() if text in prompt]
        return found[before % len(found)]

    return say


def item(question: str = "What is 6 times 7?", answer: str = "42", **fields: Any) -> Item:
    fields.setdefault("id", hashlib.md5(f"{question}/{answer}".encode()).hexdigest())
    fields = {"discipline": "mathematics", "format": "problem-solution", "language": "en", **fields}
    return Item(question=question, answer=answer, **fields)


def options_of(prompt: str) -> dict[str, str]:
    """The options in a prompt, by their letters."""
    return dict(re.findall(r"^([A-H])\. (.+)$", prompt, re.MULTILINE))


def never(*_: object) -> Any:
    raise AssertionError("nobody should be asked")
