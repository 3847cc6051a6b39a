from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_server import Answer, Fake, ask, echo
from sapwood.errors import SapwoodError
from sapwood.generation.cache import Cache, Completion
from sapwood.generation.client import REFUSED, Failure, complete
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]


def test_answers_come_in_order_and_are_remembered(serve: Serve, tmp_path: Path) -> None:
    fake = serve(echo)
    server = ModelServer(url=fake.url, model="m", parallel=4)
    requests = [ask(f"q{number}") for number in range(20)]
    settled: list[int] = []
    found = complete(server, requests, Cache(tmp_path / "a.jsonl"), settled.append)
    assert found[3] == Completion("Q3", "stop", 7, 2)
    assert [item.text for item in found if isinstance(item, Completion)] == [f"Q{number}" for number in range(20)]
    assert sum(settled) == 20
    assert complete(server, requests, Cache(tmp_path / "a.jsonl"), settled.append) == found
    assert sum(settled) == 40
    assert sum(fake.asked.values()) == 20
    complete(server, [ask("q0", sample=1), ask("q0", temperature=0.5)], Cache(tmp_path / "a.jsonl"))
    complete(ModelServer(url=fake.url, model="other"), requests[:1], Cache(tmp_path / "a.jsonl"))
    assert fake.asked["q0"] == 4


def test_the_same_request_twice_is_asked_once(serve: Serve, tmp_path: Path) -> None:
    fake = serve(echo)
    settled: list[int] = []
    server = ModelServer(url=fake.url, model="m")
    found = complete(server, [ask("q"), ask("other"), ask("q")], Cache(tmp_path / "a.jsonl"), settled.append)
    assert found[0] == found[2] != found[1]
    assert fake.asked["q"] == 1
    assert sum(settled) == 3


def test_no_more_at_once_than_the_server_allows(serve: Serve, tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def answer(body: dict[str, object], before: int) -> tuple[int, object]:
        together.wait(timeout=10)  # breaks unless three are under way
        return echo(body, before)

    fake = serve(answer)
    server = ModelServer(url=fake.url, model="m", parallel=3)
    found = complete(server, [ask(str(n)) for n in range(30)], Cache(tmp_path / "a.jsonl"))
    assert all(isinstance(item, Completion) for item in found)
    assert fake.most_at_once == 3


def test_an_empty_answer_is_an_answer(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda *_: (200, {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}))
    server = ModelServer(url=fake.url, model="m")
    assert complete(server, [ask("q")], Cache(tmp_path / "a.jsonl")) == [Completion("", "length", 0, 0)]
    complete(server, [ask("q")], Cache(tmp_path / "a.jsonl"))
    assert fake.asked["q"] == 1


def test_failures_are_of_one_request_and_are_not_remembered(serve: Serve, tmp_path: Path) -> None:
    fake = serve(
        lambda body, n: (400, {"error": {"message": "context too long"}}) if "bad" in str(body) else echo(body, n)
    )
    server = ModelServer(url=fake.url, model="m")
    found = complete(server, [ask("good"), ask("bad")], Cache(tmp_path / "a.jsonl"))
    assert found == [Completion("GOOD", "stop", 7, 2), Failure("status 400: context too long", final=REFUSED)]
    fake.answer = echo
    assert complete(server, [ask("bad")], Cache(tmp_path / "a.jsonl")) == [Completion("BAD", "stop", 7, 2)]


def test_a_server_that_goes_away_takes_nothing_with_it(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sapwood.generation.connection.PATIENCE_SECONDS", 0.05)
    fake = serve(lambda body, n: echo(body, n) if int(body["messages"][0]["content"]) < 30 else (429, {}))
    server = ModelServer(url=fake.url, model="m", parallel=4)
    requests = [ask(str(number)) for number in range(100)]
    with pytest.raises(SapwoodError, match=r"takes no requests .*status 429.*the same command continues"):
        complete(server, requests, Cache(tmp_path / "a.jsonl"))
    cache = Cache(tmp_path / "a.jsonl")  # its lines are more where a failure came while others were answered
    assert sum(request.key(server) in cache for request in requests) == 30
    fake.answer = echo
    complete(server, requests, Cache(tmp_path / "a.jsonl"))
    assert fake.asked["0"] == 1


_PROGRAM = """
import sys
from pathlib import Path
from fake_server import ask
from sapwood.generation.cache import Cache
from sapwood.generation.client import complete
from sapwood.recipe.server import ModelServer
server = ModelServer(url=sys.argv[1], model="m", parallel=3)
complete(server, [ask(str(n)) for n in range(200)], Cache(Path(sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_what_was_answered_outlives_the_process(serve: Serve, tmp_path: Path, sign: signal.Signals) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def answer(body: dict[str, object], before: int) -> tuple[int, object]:
        if sum(fake.asked.values()) > 60:
            reached.set()
            go_on.wait()
        return echo(body, before)

    fake = serve(answer)
    path = tmp_path / "a.jsonl"
    command = [sys.executable, "-c", _PROGRAM, fake.url, str(path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=_environment()) as process:
        assert reached.wait(timeout=60)
        process.send_signal(sign)
    assert process.returncode != 0
    go_on.set()
    assert len(Cache(path)) >= 60 - 3
    subprocess.run(command, check=True, env=_environment())
    assert len(Cache(path)) == 200
    assert sum(fake.asked.values()) <= 200 + 3
    assert len(path.read_bytes().splitlines()) == 200


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
