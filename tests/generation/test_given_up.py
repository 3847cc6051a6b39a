"""A prompt that is never answered is given up after some runs; what a server that is away was asked is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_server import Answer, Fake, Reply, ask, echo, said
from sapwood.errors import SapwoodError
from sapwood.generation import connection
from sapwood.generation.asker import AWAITED, Asker
from sapwood.generation.cache import RUNS, Cache, Completion
from sapwood.generation.client import GIVEN_UP, Failure, complete
from sapwood.recipe.server import ModelServer
from sapwood.recipe.units import Interval

pytestmark = pytest.mark.slow

Serve = Callable[[Answer], Fake]
SECRET = "sk/very-secret-0123"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.1)


def runs(
    fake: Fake, tmp_path: Path, count: int, *texts: str, parallel: int = 1, seconds: float = 60
) -> list[list[Completion | Failure]]:
    """What became of the prompts in each run."""
    server = ModelServer(url=fake.url, model="m", parallel=parallel)
    server = server.model_copy(update={"timeout": Interval(seconds, "seconds")})
    requests = [ask(text) for text in texts]
    return [complete(server, requests, Cache(tmp_path / "a.jsonl")) for _ in range(count)]


ALWAYS = {
    "an error": Reply(500, {"error": "oops"}),
    "busy": Reply(503, {"error": "busy"}),
    "too many requests": Reply(429, {"error": "busy"}, {"Retry-After": "3600"}),
    "hangs up": Reply(200, said("x"), cut=0),
    "no JSON": Reply(200, b"<html>"),
    "a list": Reply(200, []),
}


@pytest.mark.parametrize("reply", ALWAYS.values(), ids=ALWAYS)
@pytest.mark.parametrize("texts", [("bad", "a", "b"), ("a", "b", "bad"), ("bad",)], ids=["first", "last", "alone"])
def test_what_is_never_answered_is_given_up(serve: Serve, tmp_path: Path, reply: Reply, texts: tuple[str, ...]) -> None:
    fake = serve(lambda body, before: reply if "bad" in str(body) else echo(body, before))
    *before, last, again = runs(fake, tmp_path, RUNS + 1, *texts)
    place = texts.index("bad")
    for found in (*before, last, again):
        assert [isinstance(one, Completion) for one in found] == [text != "bad" for text in texts]
    failures = [found[place] for found in before]
    assert [failure.final for failure in failures if isinstance(failure, Failure)] == [""] * (RUNS - 1)
    failure = last[place]
    assert isinstance(failure, Failure)
    assert failure.final == GIVEN_UP
    assert failure.reason.startswith(f"no answer in {RUNS} runs: ")
    assert again == last
    asked = fake.asked["bad"]
    runs(fake, tmp_path, 1, *texts)
    assert fake.asked["bad"] == asked


def test_a_prompt_that_takes_too_long_is_given_up(serve: Serve, tmp_path: Path) -> None:
    release = threading.Event()

    def answer(body: dict[str, Any], before: int) -> Any:
        if "bad" in str(body):
            release.wait(20)
        return echo(body, before)

    found = runs(serve(answer), tmp_path, RUNS, "bad", "a", seconds=0.1)
    release.set()
    assert [one.final for (one, _) in found if isinstance(one, Failure)] == ["", "", GIVEN_UP]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_outage_costs_no_prompt_anything(serve: Serve, tmp_path: Path, status: int) -> None:
    """Of a server that answers some, and then none for many runs, nothing is given up."""
    away = False
    fake = serve(lambda body, before: (status, {}) if away else echo(body, before))
    server = ModelServer(url=fake.url, model="m", parallel=2)
    cache = Cache(tmp_path / "a.jsonl")
    complete(server, [ask("known")], cache)
    requests = [ask(text) for text in ("known", "a", "b")]
    away = True
    for _ in range(2 * RUNS):
        try:
            found = complete(server, requests, Cache(tmp_path / "a.jsonl"))
        except SapwoodError:
            continue
        assert all(not one.final for one in found if isinstance(one, Failure))
    away = False
    assert all(isinstance(one, Completion) for one in complete(server, requests, Cache(tmp_path / "a.jsonl")))


def test_an_outage_that_begins_while_a_suspect_is_asked_gives_nothing_up(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda body, before: (500, {}) if "bad" in str(body) else echo(body, before))
    runs(fake, tmp_path, RUNS - 1, "a", "bad")
    fake.answer = lambda *_: (500, {})
    ((_, found),) = runs(fake, tmp_path, 1, "a", "bad")
    assert isinstance(found, Failure)
    assert not found.final
    fake.answer = echo
    assert runs(fake, tmp_path, 1, "a", "bad")[0][1] == Completion("BAD", "stop", 7, 2)


def test_a_prompt_that_brings_the_server_down_takes_no_other_with_it(serve: Serve, tmp_path: Path) -> None:
    """All that is under way is lost with it, in every run; none of them is given up for it."""
    together = threading.Barrier(3)

    def answer(body: dict[str, Any], before: int) -> Any:
        if "Answer with" in str(body):
            return echo(body, before)
        if "bad" in str(body) or not alone:
            if not alone:
                together.wait(timeout=10)
            return Reply(500, b"")
        return echo(body, before)

    alone = False
    fake = serve(answer)
    texts = ("a", "bad", "b")
    runs(fake, tmp_path, RUNS - 1, *texts, parallel=3)
    alone = True
    ((a, bad, b),) = runs(fake, tmp_path, 1, *texts, parallel=3)
    assert [one.text for one in (a, b) if isinstance(one, Completion)] == ["A", "B"]
    assert isinstance(bad, Failure)
    assert bad.final == GIVEN_UP
    assert fake.most_at_once == 3


def test_a_server_without_any_answer_stops_early(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: (500, {"error": "oops"}))
    server = ModelServer(url=fake.url, model="m", parallel=4)
    with pytest.raises(SapwoodError, match=r"answers nothing .*status 500.*the same command continues"):
        complete(server, [ask(str(number)) for number in range(500)], Cache(tmp_path / "a.jsonl"))
    assert sum(fake.asked.values()) < 200


def batch(tmp_path: Path, name: str, *lines: tuple[str, int, Any]) -> Path:
    path = tmp_path / name
    server = ModelServer(model="m")
    rows = [
        {"id": name, "custom_id": ask(text).key(server), "response": {"status_code": status, "body": body}}
        for text, status, body in lines
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_what_a_batch_service_never_answers_is_given_up(tmp_path: Path) -> None:
    server = ModelServer(model="m")
    asker = Asker(tmp_path, lambda _: False)
    for number in range(RUNS):
        file = batch(tmp_path, f"{number}.jsonl", ("a", 200, said("A")), ("bad", 500, {}), ("busy", 429, {}))
        for _ in range(RUNS):  # the same file counts once
            assert asker(server, [ask("bad"), ask("busy")]) == [AWAITED, AWAITED]
            asker.read_batch([file])
            if number == RUNS - 1:
                break
    bad, busy = asker(server, [ask("bad"), ask("busy")])
    assert isinstance(bad, Failure)
    assert (bad.final, bad.reason) == (GIVEN_UP, f"no answer in {RUNS} runs: status 500")
    assert busy == AWAITED


@pytest.mark.parametrize(("code", "given_up"), [("server_error", True), ("batch_expired", False)])
def test_an_error_without_a_response_counts_where_a_model_was_asked(tmp_path: Path, code: str, given_up: bool) -> None:
    server = ModelServer(model="m")
    for number in range(RUNS):
        asker = Asker(tmp_path, lambda _: False)
        asker(server, [ask("bad")])
        (path,) = asker.write_awaited(tmp_path / "requests")
        # Once it has failed, a question that every model can answer goes with it.
        assert path.read_text().count("\n") == 1 + (given_up and number > 0)
        file = batch(tmp_path, f"{number}.jsonl", (f"another {number}", 200, said("A")))
        row = {"id": str(number), "custom_id": ask("bad").key(server), "response": None, "error": {"code": code}}
        file.write_text(f"{file.read_text()}\n{json.dumps(row)}")
        asker.read_batch([file])
    (found,) = asker(server, [ask("bad")])
    assert isinstance(found, Failure)
    assert (found.final == GIVEN_UP) == given_up


def test_a_batch_without_any_answer_gives_nothing_up(tmp_path: Path) -> None:
    asker = Asker(tmp_path, lambda _: False)
    for number in range(2 * RUNS):
        asker.read_batch([batch(tmp_path, f"{number}.jsonl", ("a", 500, {}), ("bad", 500, {}))])
    assert asker(ModelServer(model="m"), [ask("a"), ask("bad")]) == [AWAITED, AWAITED]


def test_keys_are_hidden_in_results_of_a_batch_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", SECRET)
    server = ModelServer(model="m", key="TEST_KEY")
    asker = Asker(tmp_path, lambda _: False, [server])
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in SECRET)
    file = batch(tmp_path, "r.jsonl", ("a", 200, said(f"it is {SECRET}")), ("b", 200, said("@")))
    file.write_text(file.read_text().replace("@", escaped))
    rows = [{"custom_id": "x" * 32, "response": None, "error": {"message": f"key {SECRET}"}}]
    with file.open("a") as more:
        more.write("\n" + "\n".join(map(json.dumps, rows)))
    counts = asker.read_batch([file])
    assert counts["answered"] == 2
    found = asker(server, [ask("a"), ask("b")])
    assert [one.text for one in found if isinstance(one, Completion)] == ["it is ***", "***"]
    assert "very-secret" not in f"{counts}{(tmp_path / 'answers.jsonl').read_text()}"
