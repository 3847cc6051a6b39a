"""A real HTTP server on this machine that speaks OpenAI's protocol, and does wrong what it is told to do wrong.

python fake_server.py --port 8000      answers in capitals
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sapwood.generation.cache import Request

Answer = Callable[[dict[str, Any], int], "Reply | tuple[int, Any]"]


@dataclass(frozen=True)
class Reply:
    """What is sent back, and how."""

    status: int = 200
    content: Any = b""
    """Bytes as they are; everything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    """Seconds between two bytes."""
    cut: int | None = None
    """The connection is closed after so many bytes of the content."""
    endless: bool = False
    """The content comes again and again."""


class Fake:
    """The server. `answer` is given what was asked, and how often the same text was asked before."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(Reply(content={"data": []}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = asked_text(body)
                with fake._lock:
                    before = fake.asked[text]
                    fake.asked[text] += 1
                    fake.bodies.append(body)
                    fake.keys.append(self.headers.get("Authorization"))
                    fake.paths.append(self.path)
                    fake._at_once += 1
                    fake.most_at_once = max(fake.most_at_once, fake._at_once)
                try:
                    reply = fake.answer(body, before)
                finally:
                    with fake._lock:
                        fake._at_once -= 1
                self._send(reply if isinstance(reply, Reply) else Reply(*reply))

            def _send(self, reply: Reply) -> None:
                data = reply.content if isinstance(reply.content, bytes) else json.dumps(reply.content).encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.endless:
                    self.send_header("Connection", "close")
                else:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                while reply.endless:
                    self.wfile.write(data)
                if reply.cut is not None:
                    self.wfile.write(data[: reply.cut])
                    self.close_connection = True
                elif reply.drip:
                    for byte in data:
                        self.wfile.write(bytes([byte]))
                        time.sleep(reply.drip)
                else:
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that hang up are part of the tests."""

        self.server = Quiet(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """Takes no more requests."""
        self.server.shutdown()
        self.server.server_close()


def asked_text(body: Mapping[str, Any]) -> str:
    """What the last message says, or the texts to be embedded."""
    return str(body["messages"][-1]["content"]) if "messages" in body else "\n".join(body["input"])


def said(text: str) -> dict[str, Any]:
    """The body of a response that says this."""
    message = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [message], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}


def echo(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """Says what was asked, in capitals."""
    return 200, said(asked_text(body).upper())


def embedded(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """Embeds texts by their letters."""
    rows = [[1.0, *(float(text.count(letter)) for letter in "etaoinshrdlu0123456789")] for text in body["input"]]
    return 200, {"data": [{"index": number, "embedding": row} for number, row in reversed(list(enumerate(rows)))]}


def ask(text: str, **options: Any) -> Request:
    """A request with one message."""
    return Request(({"role": "user", "content": text},), **options)


if __name__ == "__main__":
    Fake(echo, int(sys.argv[sys.argv.index("--port") + 1]))
    threading.Event().wait()
