"""Fleets that ask a server on this machine, which is there already; none has GPUs to start one on."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_server
from fake_server import Answer, Fake, ask, asked_text, echo
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.generation.asker import AWAITED, Asker
from sapwood.generation.cache import RUNS, Completion
from sapwood.generation.client import GIVEN_UP, Failure
from sapwood.recipe import Synthesis
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.fleet import answer_awaited

pytestmark = pytest.mark.slow

Serve = Callable[[Answer], Fake]


def job_of(url: str, **fleet: Any) -> Synthesis:
    server = {"url": url, "model": "m", "key": "FLEET_KEY", "parallel": 4}
    return Synthesis(name="qa", items=9, problems={}, server=server, fleet={"m": {"serve": "endpoint", **fleet}})


def awaiting(job: Synthesis, directory: Path, count: int) -> Asker:
    asker = Asker(directory, lambda _: False)
    asker(job.server, [ask(f"q{number}", sample=1) for number in range(count)])
    return asker


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KEY", "a-secret-key")


@pytest.mark.parametrize("tasks", [1, 3])
def test_all_that_waits_is_answered(serve: Serve, tmp_path: Path, tasks: int) -> None:
    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return (400, {"error": "too long"}) if asked_text(body) == "q3" else echo(body, before)

    fake = serve(answer)
    job = job_of(fake.url, tasks=tasks)
    asker = awaiting(job, tmp_path, 10)
    answer_awaited(job, asker, JobDirectory(tmp_path))
    found = asker(job.server, [ask(f"q{number}", sample=1) for number in range(10)])
    assert [item.text if isinstance(item, Completion) else None for item in found] == [
        None if number == 3 else f"Q{number}" for number in range(10)
    ]
    assert isinstance(found[3], Failure)
    assert fake.bodies[0].keys() == ask("q0").body(job.server).keys()
    assert set(fake.keys) == {"Bearer a-secret-key"}
    assert not (tmp_path / "fleet" / "m").exists()
    for run in range(2, RUNS + 1):  # beside what fails, something is asked that was answered before
        assert found[3] == AWAITED
        answer_awaited(job, asker, JobDirectory(tmp_path))
        assert (fake.asked["q3"], fake.asked["q0"], sum(fake.asked.values())) == (run, run, 8 + 2 * run)
        found = asker(job.server, [ask(f"q{number}", sample=1) for number in range(10)])
    assert isinstance(found[3], Failure)
    assert found[3].final == GIVEN_UP
    assert "too long" in found[3].reason
    assert not asker.awaits


def test_a_fleet_that_answers_nothing_is_named_and_gives_nothing_up(serve: Serve, tmp_path: Path) -> None:
    fake = serve(lambda body, before: (400, {"error": "too long"}))
    job = job_of(fake.url)
    for _ in range(RUNS):
        asker = awaiting(job, tmp_path, 3)
        with pytest.raises(SapwoodError, match="refuses every request"):
            answer_awaited(job, asker, JobDirectory(tmp_path))
    assert asker(job.server, [ask("q0", sample=1)]) == [AWAITED]


def test_a_server_that_is_away_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.generation import connection

    monkeypatch.setattr(connection, "FIRST_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.01)
    job = job_of("http://localhost:1/v1")
    with pytest.raises(SapwoodError, match="http://localhost:1/v1 cannot be reached"):
        answer_awaited(job, awaiting(job, tmp_path, 3), JobDirectory(tmp_path))


def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    job = job_of("http://localhost:1/v1", serve="vllm")
    with pytest.raises(SapwoodError, match=r"Please install `\w+`.*must be there where the tasks run"):
        answer_awaited(job, awaiting(job, tmp_path, 3), JobDirectory(tmp_path))


def test_a_server_is_started_and_ended(
    stand_ins: Callable[[dict[str, str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the command `vllm`; what vLLM itself makes of its arguments is not tested here."""
    from datatrove.pipeline.inference.servers import compile_lock, vllm_server

    from sapwood.synthesis import inference

    async def is_ready(server: Any) -> bool:
        try:
            socket.create_connection(("127.0.0.1", server._port), 1).close()
        except OSError:
            return False
        return True

    for module in (vllm_server, inference):  # neither vLLM nor httpx is here
        monkeypatch.setattr(module, "check_required_dependencies", lambda *_: None)
    monkeypatch.setattr(vllm_server.VLLMServer, "is_ready", is_ready)
    quick = functools.partial(inference.InferenceConfig, server_ready_delay_sec=0.1)
    monkeypatch.setattr(inference, "InferenceConfig", quick)
    monkeypatch.setattr(compile_lock, "DEFAULT_LOCK_DIR", tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    fake = Path(fake_server.__file__)
    said = tmp_path / "said"
    stand_ins({"vllm": f"echo $$ $@ > {said}; exec {sys.executable} {fake} --port $4"})
    job = job_of("http://localhost:1/v1", serve="vllm", weights="org/weights", options={"enforce-eager": True})
    asker = awaiting(job, tmp_path, 5)
    answer_awaited(job, asker, JobDirectory(tmp_path))
    assert all(isinstance(item, Completion) for item in asker(job.server, [ask(f"q{n}", sample=1) for n in range(5)]))
    process, *arguments = said.read_text().split()
    assert arguments[:3] == ["serve", "org/weights", "--port"]
    assert arguments[-2:] == ["--no-trust-remote-code", "--enforce-eager"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)


def test_a_round_that_was_killed_goes_on_where_it_was(serve: Serve, tmp_path: Path) -> None:
    hold = threading.Event()

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        if asked_text(body) in ("q8", "q9"):
            hold.wait(30)
        return echo(body, before)

    fake = serve(answer)
    program = f"""
from pathlib import Path
from test_fleet import JobDirectory, answer_awaited, awaiting, job_of
job = job_of({fake.url!r})
answer_awaited(job, awaiting(job, Path({str(tmp_path)!r}), 10), JobDirectory(Path({str(tmp_path)!r})))
"""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(fake_server.__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    results = tmp_path / "fleet" / "m" / "results" / "00000.jsonl"

    def all_but_the_held() -> bool:
        written = results.exists() and len(results.read_bytes().splitlines()) == 8
        return written and {"q8", "q9"} <= set(fake.asked)

    while process.poll() is None and not all_but_the_held():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    hold.set()
    with results.open("ab") as file:
        file.write(b'{"key":"cut sho')
    job = job_of(fake.url)
    asker = awaiting(job, tmp_path, 10)
    answer_awaited(job, asker, JobDirectory(tmp_path))
    assert len(read_lines(tmp_path / "answers.jsonl")) == 10
    assert all(count == (2 if text in ("q8", "q9") else 1) for text, count in fake.asked.items())


def test_a_round_of_another_job_is_read_and_not_continued(serve: Serve, tmp_path: Path) -> None:
    fake = serve(echo)
    job = job_of(fake.url)
    awaiting(job, tmp_path, 4).write_awaited(tmp_path / "fleet" / "m" / "requests")
    asker = Asker(tmp_path, lambda _: False)
    asker(job.server, [ask("other")])
    answer_awaited(job, asker, JobDirectory(tmp_path))
    assert not fake.bodies
    assert not (tmp_path / "fleet" / "m").exists()
    asker(job.server, [ask("other")])
    answer_awaited(job, asker, JobDirectory(tmp_path))
    assert list(fake.asked) == ["other"]


def test_a_fleet_of_a_model_that_nobody_asks_is_refused(tmp_path: Path) -> None:
    from sapwood.recipe import load_synthesis

    job = {"name": "qa", "items": 9, "problems": {}, "server": {"model": "mistral"}, "fleet": {"mistrall": {}}}
    (tmp_path / "qa.yaml").write_text(json.dumps(job))
    with pytest.raises(SapwoodError, match=r"fleet\.mistrall: nothing is asked of this model.*'mistral'"):
        load_synthesis(tmp_path / "qa.yaml")
    job["verify"] = {"near_duplicates": {"embedding": {"model": "mistrall"}}}
    (tmp_path / "qa.yaml").write_text(json.dumps(job))
    with pytest.raises(SapwoodError, match="a fleet gives no embeddings"):
        load_synthesis(tmp_path / "qa.yaml")
