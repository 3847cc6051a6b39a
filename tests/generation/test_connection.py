"""Everything that a server may do wrong, done by a real one."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server import Answer, Fake, Reply, ask, echo, said
from sapwood.errors import SapwoodError
from sapwood.generation import connection
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import REFUSED, Failure, complete
from sapwood.generation.connection import Bucket
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]
SECRET = "sk/very-secret-0123"


def at(url: str, **options: Any) -> ModelServer:
    return ModelServer(url=url, model="m", **options)


def one(server: ModelServer, directory: Path, request: Request | None = None) -> Completion | Failure:
    (found,) = complete(server, [request or ask("q")], Cache(directory / "a.jsonl"))
    return found


WHOLE = said("Q")
TROUBLE = {
    "too many requests": Reply(429, {"error": "busy"}),
    "for a second": Reply(429, {"error": "busy"}, {"Retry-After": "0.01"}),
    "until a date that is past": Reply(429, {"error": "busy"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "until no date": Reply(503, {"error": "busy"}, {"Retry-After": "soon"}),
    "an error of the server": Reply(500, {"error": "oops"}),
    "a gateway": Reply(502, b"<html>Bad Gateway</html>"),
    "no time": Reply(408, b""),
    "cut short": Reply(200, WHOLE, cut=20),
    "nothing": Reply(200, b""),
    "no JSON": Reply(200, b"<html>"),
    "half of the JSON": Reply(200, b'{"choices": [{"mess'),
    "hangs up": Reply(200, WHOLE, cut=0),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_is_waited_out(serve: Serve, tmp_path: Path, trouble: Reply) -> None:
    fake = serve(lambda body, before: echo(body, before) if before >= 3 else trouble)
    assert one(at(fake.url), tmp_path) == Completion("Q", "stop", 7, 2)
    assert fake.asked["q"] == 4


def test_a_storm_passes(serve: Serve, tmp_path: Path) -> None:
    storm = [Reply(429, {}), Reply(500, {}), Reply(200, WHOLE, cut=9), Reply(200, b"{"), Reply(503, {})]
    fake = serve(lambda body, before: echo(body, before) if before >= 5 else storm[(len(str(body)) + before) % 5])
    found = complete(at(fake.url), [ask("x" * n) for n in range(1, 41)], Cache(tmp_path / "a.jsonl"))
    assert found == [Completion("X" * n, "stop", 7, 2) for n in range(1, 41)]


ENDS = {
    "always an error": (Reply(500, {"error": "always"}), 6, "status 500: always"),
    "always cut short": (Reply(200, WHOLE, cut=9), 6, "connection lost"),
    "always no JSON": (Reply(200, b"<html> oh\n dear"), 6, "not JSON: <html> oh dear"),
    "another form": (Reply(200, {"text": "Q"}), 1, "another form than OpenAI's .KeyError"),
    "no choices": (Reply(200, {"choices": []}), 1, "another form than OpenAI's .IndexError"),
    "a list": (Reply(200, [1, 2]), 1, "no JSON object"),
    "refused": (Reply(400, {"object": "error", "message": "too long"}), 1, "status 400: too long"),
    "without words": (Reply(418, b""), 1, "status 418: "),
}


@pytest.mark.parametrize(("reply", "tries", "reason"), ENDS.values(), ids=ENDS)
def test_one_request_fails_alone(serve: Serve, tmp_path: Path, reply: Reply, tries: int, reason: str) -> None:
    fake = serve(lambda body, before: reply if "bad" in str(body) else echo(body, before))
    good, bad = complete(at(fake.url), [ask("good"), ask("bad")], Cache(tmp_path / "a.jsonl"))
    assert isinstance(good, Completion)
    assert isinstance(bad, Failure)
    assert fake.asked["bad"] == tries
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bad.reason)


FATAL = {
    "no key": (401, {}, "refuses the key .*`key:`"),
    "no right": (403, {}, "refuses the key"),
    "no model": (404, {"error": {"message": "no model m"}}, "has no chat/completions of 'm' .*no model m.*`url` is"),
    "elsewhere": (301, {}, "leads on to another address"),
}


@pytest.mark.parametrize(("status", "content", "message"), FATAL.values(), ids=FATAL)
def test_what_no_request_survives_stops_all(
    serve: Serve, tmp_path: Path, status: int, content: Any, message: str
) -> None:
    fake = serve(lambda *_: (status, content))
    with pytest.raises(SapwoodError, match=message):
        complete(at(fake.url, parallel=2), [ask(str(n)) for n in range(50)], Cache(tmp_path / "a.jsonl"))
    assert sum(fake.asked.values()) <= 4


def test_a_text_that_a_provider_forbids_stops_nothing(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda body, before: (403, {"error": "flagged"}) if "bad" in str(body) else echo(body, before))
    found = complete(at(fake.url, parallel=1), [ask("a"), ask("bad"), ask("b")], Cache(tmp_path / "a.jsonl"))
    assert found[1] == Failure("status 403: flagged", final=REFUSED)
    assert isinstance(found[2], Completion)


def test_schemas_are_sent_and_may_be_refused(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: (422, {"detail": "response_format: extra fields not permitted"}))
    request = ask("q", schema={"type": "object"})
    with pytest.raises(SapwoodError, match=r"cannot follow JSON schemas .*Leave `structured` off"):
        one(at(fake.url), tmp_path, request)
    assert fake.bodies[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    fake.answer = lambda *_: (400, {"error": "no"})
    found = one(at(fake.url), tmp_path, request)
    assert found == Failure("status 400: no (if all requests end so, leave `structured` off)", final=REFUSED)


@pytest.mark.slow
def test_a_server_that_hangs(serve: Serve, tmp_path: Path) -> None:
    release = threading.Event()
    fake = serve(lambda body, n: (release.wait(20), echo(body, n))[1])
    found = one(at(fake.url, timeout="1s"), tmp_path)
    release.set()
    assert found == Failure("Timeout: no whole answer within 1s")
    assert fake.asked["q"] == 2


@pytest.mark.slow
def test_a_server_that_drips(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: Reply(200, b" " * 1000 + b"{}", drip=0.05))
    assert one(at(fake.url, timeout="1s"), tmp_path) == Failure("Timeout: no whole answer within 1s")


def test_a_slow_answer_is_an_answer(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: Reply(200, said("slow"), drip=0.001))
    assert one(at(fake.url), tmp_path) == Completion("slow", "stop", 7, 2)


def test_an_answer_without_an_end(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LARGEST_RESPONSE", 2**20)
    fake = serve(lambda *_: Reply(200, b"[" * 10000, endless=True))
    assert one(at(fake.url), tmp_path) == Failure("an answer of more than 1 MiB")
    assert fake.asked["q"] == 1


def test_a_server_that_is_not_there(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PATIENCE_SECONDS", 0.05)
    with pytest.raises(SapwoodError, match=r"127.0.0.1:9/v1 cannot be reached .*Is the server running"):
        one(at("http://127.0.0.1:9/v1"), tmp_path)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://localhost", "http://"])
def test_no_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(SapwoodError, match="no address such as"):
        one(at(url), tmp_path)


def test_a_server_that_starts_again(serve: Serve, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fakes = [Fake(echo, port)]

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        if sum(fakes[0].asked.values()) == 20:
            threading.Thread(target=restart).start()
        return echo(body, before)

    def restart() -> None:
        fakes[0].close()
        time.sleep(0.3)  # long enough for every worker to be refused several times
        fakes.append(Fake(echo, port))

    fakes[0].answer = answer
    found = complete(at(fakes[0].url, parallel=4), [ask(str(n)) for n in range(60)], Cache(tmp_path / "a.jsonl"))
    assert [item.text for item in found if isinstance(item, Completion)] == [str(n) for n in range(60)]
    for fake in fakes:
        fake.close()


class Clock:
    """A clock that moves when someone sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(connection, "monotonic", clock.monotonic)
    monkeypatch.setattr(connection, "sleep", clock.sleep)
    return clock


def test_a_wait_that_is_asked_for(serve: Serve, tmp_path: Path, clock: Clock) -> None:
    asked: list[float] = []

    def answer(body: dict[str, Any], before: int) -> Any:
        asked.append(clock.now)
        return Reply(429, {}, {"Retry-After": "17"}) if len(asked) == 1 else echo(body, before)

    fake = serve(answer)
    complete(at(fake.url, parallel=1), [ask("a"), ask("b")], Cache(tmp_path / "a.jsonl"))
    assert asked == [1000, pytest.approx(1017, abs=0.01), asked[1]]


def test_waits_grow(serve: Serve, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 1.0)
    asked: list[float] = []

    def answer(body: dict[str, Any], before: int) -> Any:
        asked.append(clock.now)
        return (503, {}) if before < 8 else echo(body, before)

    fake = serve(answer)
    assert isinstance(one(at(fake.url), tmp_path), Completion)
    waits = [later - earlier for earlier, later in pairwise(asked)]
    expected = [1, 2, 4, 8, 16, 30, 30, 30]
    assert all(most / 2 <= wait <= most * 1.5 for wait, most in zip(waits, expected, strict=True))


def test_patience_is_with_the_server_and_not_with_one_request(
    serve: Serve, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 1.0)
    fake = serve(lambda body, before: (429, {"error": "never this"}) if "bad" in str(body) else echo(body, before))
    requests = [ask("bad"), *(ask(str(n)) for n in range(400))]

    def answer(body: dict[str, Any], before: int) -> Any:
        clock.now += 1  # the others take their time
        return (429, {"error": "never this"}) if "bad" in str(body) else echo(body, before)

    fake.answer = answer
    found = complete(at(fake.url, parallel=2), requests, Cache(tmp_path / "a.jsonl"))
    assert found[0] == Failure("status 429: never this")
    assert all(isinstance(item, Completion) for item in found[1:])


def test_a_wait_until_a_date(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_day = formatdate(time.time() + 86400, usegmt=True)
    fake = serve(lambda *_: Reply(429, {"error": "quota used up"}, {"Retry-After": in_a_day}))
    with pytest.raises(SapwoodError, match=r"takes no requests .*quota used up"):
        one(at(fake.url), tmp_path)


def test_limits_of_the_server_are_kept(serve: Serve, tmp_path: Path, clock: Clock) -> None:
    fake = serve(echo)
    server = at(fake.url, parallel=1, requests_per_minute=120)
    complete(server, [ask(str(n)) for n in range(22)], Cache(tmp_path / "a.jsonl"))
    assert clock.now == pytest.approx(1010)  # two at once, then two a second


def test_tokens_are_estimated_and_then_counted(serve: Serve, tmp_path: Path, clock: Clock) -> None:
    fake = serve(echo)  # says that it used 9 tokens
    server = at(fake.url, parallel=1, tokens_per_minute=60 * 9)
    complete(server, [ask(str(n), max_tokens=5000) for n in range(11)], Cache(tmp_path / "a.jsonl"))
    assert clock.now == pytest.approx(1010)


def test_the_key_is_sent_and_seen_nowhere(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    fake = serve(echo)
    server = at(fake.url, key="TEST_KEY")
    with pytest.raises(SapwoodError, match=r"TEST_KEY .* is not set"):
        one(server, tmp_path)
    monkeypatch.setenv("TEST_KEY", f"{SECRET}\n")
    one(server, tmp_path)
    assert fake.keys == [f"Bearer {SECRET}"]
    escaped = SECRET.replace("/", "\\/")
    echoes: list[Reply] = [
        Reply(200, said(f"your key is {SECRET}.")),
        Reply(400, {"error": {"message": f"no such key: {SECRET}"}}),
        Reply(400, f"no such key: {SECRET}".encode()),
        Reply(400, f'{{"error": "no such key: {escaped}"'.encode()),
        Reply(200, f"<html>{SECRET}".encode()),
    ]
    shown = ""
    for number, reply in enumerate(echoes):
        fake.answer = lambda *_, reply=reply: reply
        found = one(server, tmp_path, ask(f"echo {number}"))
        assert "***" in str(found)
        shown += str(found)
    fake.answer = lambda *_: (404, {"error": SECRET})
    with pytest.raises(SapwoodError) as caught:
        one(server, tmp_path, ask("last"))
    shown += repr(caught.value) + caplog.text + (tmp_path / "a.jsonl").read_text()
    assert "very-secret" not in shown


def test_a_key_that_is_none(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = serve(lambda *_: (200, said("EMPTY")))
    monkeypatch.setenv("TEST_KEY", "EMPTY")
    assert one(at(fake.url, key="TEST_KEY"), tmp_path) == Completion("EMPTY", "stop", 7, 2)
    monkeypatch.setenv("TEST_KEY", "two\nlines")
    with pytest.raises(SapwoodError, match="TEST_KEY holds no key"):
        one(at(fake.url, key="TEST_KEY"), tmp_path, ask("other"))


def test_nothing_asked_needs_no_server(tmp_path: Path) -> None:
    assert complete(at("http://127.0.0.1:9/v1", key="TEST_KEY"), [], Cache(tmp_path / "a.jsonl")) == []
    assert "TEST_KEY" not in os.environ


@given(
    per_minute=st.integers(1, 100_000),
    amounts=st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 30)), min_size=1, max_size=60),
)
def test_no_minute_sees_much_more_than_the_limit(per_minute: int, amounts: list[tuple[float, float]]) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, []
    for amount, idle in amounts:
        now += idle
        now += bucket.wait(amount, now)
        bucket.take(amount, now)
        taken.append((now, amount))
    most = per_minute + max(1.0, per_minute / 60) + max(amount for amount, _ in amounts)
    for start, _ in taken:
        within = sum(amount for at, amount in taken if start <= at < start + 60)
        assert within <= most * (1 + 1e-6) + 1e-6


@given(per_minute=st.integers(1, 100_000), count=st.integers(1, 200))
def test_the_limit_is_used_up(per_minute: int, count: int) -> None:
    bucket, now = Bucket(per_minute, 0.0), 0.0
    for _ in range(count):
        now += bucket.wait(1, now)
        bucket.take(1, now)
    assert now <= count / per_minute * 60 + 1e-6


def test_what_is_put_back_can_be_taken() -> None:
    bucket = Bucket(60, 0.0)
    bucket.take(31, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(31)
    bucket.take(-30, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(1)
    bucket.take(-1000, 0.0)
    bucket.take(1, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(1)  # it never holds more than a second's worth
