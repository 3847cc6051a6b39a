from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sapwood.errors import SapwoodError
from sapwood.generation import client
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import Failure, complete
from sapwood.recipe.server import ModelServer

Answer = Callable[[dict[str, Any], int], tuple[int, Any]]


class Fake:
    """A server on this machine; `answer` is given what was asked, and how often that was asked before."""

    def __init__(self, answer: Answer) -> None:
        self.asked: Counter[str] = Counter()
        self.keys: list[str | None] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                fake.keys.append(self.headers.get("Authorization"))
                status, content = answer(body, fake.asked[text])
                fake.asked[text] += 1
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Clients that hang up are part of the tests."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def at(url: str, model: str, **options: Any) -> ModelServer:
    return ModelServer(url=url, model=model, **options)


def said(text: str) -> dict[str, Any]:
    message = {"message": {"content": text}, "finish_reason": "stop"}
    return {"choices": [message], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], Fake]]:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    fakes: list[Fake] = []

    def start(answer: Answer) -> Fake:
        fakes.append(Fake(answer))
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.server.shutdown()
        fake.server.server_close()


def ask(text: str, **options: Any) -> Request:
    return Request(({"role": "user", "content": text},), **options)


def echo(body: dict[str, Any], _: int) -> tuple[int, Any]:
    return 200, said(body["messages"][-1]["content"].upper())


def test_answers_come_in_order_and_are_remembered(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(echo)
    server, requests = at(fake.url, "m", parallel=4), [ask(f"q{number}") for number in range(20)]
    settled: list[int] = []
    found = complete(server, requests, Cache(tmp_path / "a.jsonl"), settled.append)
    assert found[3] == Completion("Q3", "stop", 7, 2)
    assert [item.text for item in found if isinstance(item, Completion)] == [f"Q{number}" for number in range(20)]
    assert sum(settled) == 20
    assert complete(server, requests, Cache(tmp_path / "a.jsonl")) == found
    assert sum(fake.asked.values()) == 20
    complete(server, [ask("q0", sample=1), ask("q0", temperature=0.5)], Cache(tmp_path / "a.jsonl"))
    complete(at(fake.url, "other"), requests[:1], Cache(tmp_path / "a.jsonl"))
    assert fake.asked["q0"] == 4


def test_a_cache_cut_short_by_a_kill_keeps_what_is_whole(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(echo)
    server, requests = at(fake.url, "m", parallel=1), [ask("a"), ask("b")]
    complete(server, requests, Cache(tmp_path / "a.jsonl"))
    content = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(content[:-9])
    complete(server, requests, Cache(tmp_path / "a.jsonl"))
    assert sorted(fake.asked.values()) == [1, 2]
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_is_waited_out(serve: Callable[[Answer], Fake], tmp_path: Path, status: int) -> None:
    fake = serve(lambda body, before: echo(body, before) if before >= 3 else (status, {"error": "busy"}))
    (found,) = complete(at(fake.url, "m"), [ask("q")], Cache(tmp_path / "a.jsonl"))
    assert isinstance(found, Completion)
    assert fake.asked["q"] == 4


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (400, {"error": "context too long"}, "status 400: .*context too long"),
        (200, b"<html>", "another form"),
        (200, {"choices": []}, "another form"),
        (500, {"error": "always"}, "status 500"),
    ],
)
def test_failures_are_of_one_request_and_are_not_remembered(
    serve: Callable[[Answer], Fake], tmp_path: Path, status: int, content: Any, reason: str
) -> None:
    fake = serve(lambda body, n: (status, content) if body["messages"][-1]["content"] == "bad" else echo(body, n))
    good, bad = complete(at(fake.url, "m"), [ask("good"), ask("bad")], Cache(tmp_path / "a.jsonl"))
    assert isinstance(good, Completion)
    assert isinstance(bad, Failure)
    assert re.search(reason, bad.reason)
    assert len(Cache(tmp_path / "a.jsonl")._found) == 1


@pytest.mark.parametrize(("status", "message"), [(401, "refuses the key"), (404, "knows no chat completions of 'm'")])
def test_what_no_request_survives_stops_all(
    serve: Callable[[Answer], Fake], tmp_path: Path, status: int, message: str
) -> None:
    fake = serve(lambda *_: (status, {"error": "no"}))
    with pytest.raises(SapwoodError, match=message):
        complete(at(fake.url, "m", parallel=2), [ask(str(n)) for n in range(50)], Cache(tmp_path / "a.jsonl"))
    assert sum(fake.asked.values()) < 50


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    with pytest.raises(SapwoodError, match="cannot be reached"):
        complete(at("http://127.0.0.1:9/v1", "m"), [ask("q")], Cache(tmp_path / "a.jsonl"))


def test_a_server_that_hangs(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    release = threading.Event()
    fake = serve(lambda body, n: (release.wait(5), echo(body, n))[1])
    (found,) = complete(at(fake.url, "m", timeout="1s"), [ask("q")], Cache(tmp_path / "a.jsonl"))
    release.set()
    assert isinstance(found, Failure)
    assert "Timeout" in found.reason


def test_the_key_is_sent_and_written_nowhere(
    serve: Callable[[Answer], Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = serve(echo)
    server = at(fake.url, "m", key="TEST_KEY")
    with pytest.raises(SapwoodError, match=r"TEST_KEY .* is not set"):
        complete(server, [ask("q")], Cache(tmp_path / "a.jsonl"))
    monkeypatch.setenv("TEST_KEY", "very-secret")
    complete(server, [ask("q")], Cache(tmp_path / "a.jsonl"))
    assert fake.keys == ["Bearer very-secret"]
    assert "very-secret" not in (tmp_path / "a.jsonl").read_text()
