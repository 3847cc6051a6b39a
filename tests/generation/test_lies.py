"""A server that lies: each reply of a table, to one prompt of several. The others are answered, and soon."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fake_server import Answer, Fake, Reply, ask, echo, said
from sapwood.errors import SapwoodError
from sapwood.generation import connection
from sapwood.generation.cache import Cache, Completion
from sapwood.generation.client import Failure, complete
from sapwood.generation.embed import vectors_of
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]
SECRET = "sk/very-secret-0123"


def with_usage(**usage: Any) -> dict[str, Any]:
    return {**said("GOT"), "usage": usage}


def with_choices(*choices: Any) -> dict[str, Any]:
    return {"choices": list(choices)}


ANSWERED: dict[str, tuple[Any, str, int]] = {
    "text for tokens": (with_usage(completion_tokens="many"), "GOT", 0),
    "negative tokens": (with_usage(completion_tokens=-5), "GOT", 0),
    "more tokens than there are": (with_usage(completion_tokens=1e30, total_tokens=10**18), "GOT", 0),
    "a list of tokens": (with_usage(completion_tokens=[1]), "GOT", 0),
    "true tokens": (with_usage(completion_tokens=True), "GOT", 0),
    "no usage": ({**said("GOT"), "usage": "none"}, "GOT", 0),
    "null": (with_choices({"message": {"content": None}}), "", 0),
    "parts": (with_choices({"message": {"content": [{"type": "text", "text": "GOT"}]}}), "GOT", 0),
    "a reason of another form": (with_choices({"message": {"content": "GOT"}, "finish_reason": {"a": 1}}), "GOT", 0),
    "the first of two": (
        with_choices({"index": 1, "message": {"content": "NO"}}, {"index": 0, "message": {"content": "GOT"}}),
        "GOT",
        0,
    ),
    "another content type": (Reply(200, said("GOT"), {"Content-Type": "image/png"}), "GOT", 2),
}
UNANSWERED: dict[str, Any] = {
    "no choices": {},
    "empty choices": with_choices(),
    "choices that are null": {"choices": None},
    "no message": with_choices({}),
    "content that is a number": with_choices({"message": {"content": 5}}),
    "a list": [],
    "refused": Reply(400, {"error": "no"}),
    "forbidden": Reply(403, {"error": "content filter"}),
    "not there": Reply(404, b"<html>no"),
    "too large": Reply(413, b""),
    "not to be processed": Reply(422, {"detail": [{"msg": "no"}]}),
}
AGAIN: dict[str, Any] = {
    "JSON cut short": Reply(200, b'{"choices": ['),
    "a page": Reply(200, b"<html><body>Bad gateway"),
    "no UTF-8": Reply(200, b'{"choices": "\xff\xfe"}'),
    "an error for an answer": Reply(200, {"error": {"message": "overloaded"}}),
    "a wait without end": Reply(500, b"", {"Retry-After": "1000000000"}),
    "a wait without end while busy": Reply(429, b"", {"Retry-After": "1e9"}),
    "a wait that is no number": Reply(500, b"", {"Retry-After": "1.2.3"}),
    "a date that is none": Reply(500, b"", {"Retry-After": "Mon, 99 Foo 999999 99:99:99 GMT"}),
}


def among_others(serve: Serve, tmp_path: Path, reply: Any, **options: Any) -> tuple[Completion | Failure, Fake]:
    """What becomes of a prompt that gets this reply; first and after it others are answered."""
    lie = reply if isinstance(reply, Reply) else Reply(200, reply)
    fake = serve(lambda body, before: lie if "lie" in str(body) else echo(body, before))
    server = ModelServer(url=fake.url, model="m", parallel=1, tokens_per_minute=10**7, **options)
    found = complete(server, [ask(text) for text in ("a", "lie", "b", "c")], Cache(tmp_path / "a.jsonl"))
    assert [one.text for one in (found[0], *found[2:]) if isinstance(one, Completion)] == ["A", "B", "C"]
    return found[1], fake


@pytest.mark.parametrize(("reply", "text", "tokens"), ANSWERED.values(), ids=ANSWERED)
def test_what_can_be_used_is_used(serve: Serve, tmp_path: Path, reply: Any, text: str, tokens: int) -> None:
    found, _ = among_others(serve, tmp_path, reply)
    assert isinstance(found, Completion)
    assert (found.text, found.completion_tokens) == (text, tokens)
    assert Cache(tmp_path / "a.jsonl").get(ask("lie").key(ModelServer(model="m"))) == found


@pytest.mark.parametrize("reply", UNANSWERED.values(), ids=UNANSWERED)
def test_one_prompt_is_given_up(serve: Serve, tmp_path: Path, reply: Any) -> None:
    found, fake = among_others(serve, tmp_path, reply)
    assert isinstance(found, Failure)
    assert found.final or reply == []
    assert fake.asked["lie"] == 1


@pytest.mark.parametrize("reply", AGAIN.values(), ids=AGAIN)
def test_what_may_pass_is_tried_again(
    serve: Serve, tmp_path: Path, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.3)
    found, _ = among_others(serve, tmp_path, reply)
    assert isinstance(found, Failure)
    assert not found.final


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_is_refused_of_every_prompt_stops_early(serve: Serve, tmp_path: Path, status: int) -> None:
    fake = serve(lambda *_: (status, {"error": "no"}))
    server = ModelServer(url=fake.url, model="m", parallel=4)
    with pytest.raises(SapwoodError, match=r"refuses|has no"):
        complete(server, [ask(str(number)) for number in range(200)], Cache(tmp_path / "a.jsonl"))
    assert sum(fake.asked.values()) < 30


def test_one_prompt_may_be_the_first(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda body, before: (400, {"error": "no"}) if "lie" in str(body) else echo(body, before))
    found = complete(
        ModelServer(url=fake.url, model="m", parallel=1),
        [ask("lie"), ask("a"), ask("b"), ask("c")],
        Cache(tmp_path / "a.jsonl"),
    )
    assert [isinstance(one, Failure) for one in found] == [True, False, False, False]


def test_no_answer_that_can_be_used_is_an_error(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: (200, {"message": "welcome"}))
    with pytest.raises(SapwoodError, match="none of 5 requests"):
        complete(ModelServer(url=fake.url, model="m"), [ask(str(n)) for n in range(5)], Cache(tmp_path / "a.jsonl"))


def test_no_other_host_gets_the_key(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", SECRET)
    other = serve(echo)
    fake = serve(lambda *_: Reply(307, b"", {"Location": f"{other.url}/chat/completions?key={SECRET}"}))
    with pytest.raises(SapwoodError, match="leads on") as caught:
        complete(ModelServer(url=fake.url, model="m", key="TEST_KEY"), [ask("a")], Cache(tmp_path / "a.jsonl"))
    assert not other.bodies
    assert SECRET not in str(caught.value)


def escapes(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


SPELLED = {
    "plain": json.dumps(said(SECRET)),
    "escaped": json.dumps(said("@")).replace("@", escapes(SECRET)),
    "twice escaped": json.dumps(said(escapes(SECRET))),
    "per cent": json.dumps(said(quote(SECRET, safe=""))),
    "all per cent": json.dumps(said("".join(f"%{ord(letter):02X}" for letter in SECRET))),
    "base 64": json.dumps(said(base64.b64encode(SECRET.encode()).decode())),
    "base 64 of the header": json.dumps(said(base64.b64encode(f"Bearer {SECRET}".encode()).decode())),
    "entities": json.dumps(said("".join(f"&#{ord(letter)};" for letter in SECRET))),
    "in another place": json.dumps({**said("x"), "choices": [{"message": {"content": "x"}, "finish_reason": SECRET}]}),
    "not JSON": '{"error": "' + escapes(SECRET),
    "an error": json.dumps({"error": {"message": "@"}}).replace("@", escapes(SECRET)),
    "behind much else": json.dumps({"error": "x" * 190 + SECRET}),
}
PARTS = (
    "very-secret",
    "very%2Dsecret",
    base64.b64encode(SECRET.encode()).decode()[4:16],
    "\\u0076\\u0065",
    "&#118;&#101;",
)


@pytest.mark.parametrize("content", SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize("status", [200, 400])
def test_the_key_is_hidden_however_it_is_spelled(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, status: int
) -> None:
    monkeypatch.setenv("TEST_KEY", SECRET)
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    found, _ = among_others(serve, tmp_path, Reply(status, content.encode()), key="TEST_KEY")
    shown = f"{found} {(tmp_path / 'a.jsonl').read_text()}"
    assert not [part for part in PARTS if part in shown]


def test_the_key_is_hidden_in_a_broken_status_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", SECRET)
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(connection.TRIES + 1):  # and the question whether it answers anything
                client, _ = listening.accept()
                with client:
                    client.recv(1 << 16)
                    client.sendall(f"HTTP/1.1 {SECRET} what\r\nX: {SECRET}\r\n\r\n".encode())

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        (found,) = complete(ModelServer(url=url, model="m", key="TEST_KEY"), [ask("a")], Cache(tmp_path / "a.jsonl"))
    assert isinstance(found, Failure)
    assert "very-secret" not in found.reason


@pytest.mark.parametrize(
    "rows",
    [
        [(0, [1.0]), (0, [2.0])],
        [(1, [1.0]), (2, [2.0])],
        [("zero", [1.0]), (1, [2.0])],
        [(0, [1.0])],
        [(0, [1.0]), (1, [1.0, 2.0])],
        [(0, ["a"]), (1, [1.0])],
        [(0, [1e300]), (1, [1.0])],
        [(0, None), (1, [1.0])],
    ],
)
def test_embeddings_that_are_none(rows: list[tuple[Any, Any]]) -> None:
    with pytest.raises(ValueError, match="embedding"):
        vectors_of({"data": [{"index": index, "embedding": vector} for index, vector in rows]}, 2)
