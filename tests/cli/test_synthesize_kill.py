"""A synthesis job that is killed at any moment loses nothing but what was under way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_server import Answer, Fake
from sapwood.files import read_json, read_lines
from sapwood.synthesis import run
from synthesis_jobs import PAGES, model, sapwood, write_job

pytestmark = pytest.mark.slow

CHUNK, PARALLEL = 5, 3
PROGRAM = f"""
import sys
from sapwood.cli.main import app
from sapwood.synthesis import run
run.CHUNK = {CHUNK}
app(["synthesize", sys.argv[1]])
"""


class Gate:
    """Answers so many requests, and keeps those that come then waiting until it is opened."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.answers = self.vectors = self.held = 0
        self.lock = threading.Lock()
        self.opened = threading.Event()

    def __call__(self, body: dict[str, Any], before: int) -> tuple[int, Any]:
        with self.lock:
            inside = self.answers + bool(self.vectors) < self.room
            self.held += not inside
            self.answers += inside and "messages" in body
            self.vectors += len(body["input"]) if inside and "input" in body else 0
        if not inside:
            self.opened.wait()
        return model(body, before)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_in_every_part(serve: Callable[[Answer], Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CHUNK", CHUNK)
    fake = serve(model)
    server = {"url": fake.url, "model": "m", "parallel": PARALLEL}
    copies = {"embedding": {"url": fake.url, "model": "e"}, "cosine": 0.999}
    votes = {"samples": 2, "agreement": "50%"}
    job = write_job(tmp_path, fake.url, server=server, verify={"self_consistency": votes, "near_duplicates": copies})
    sapwood("synthesize", job, "output=whole")
    whole = len(fake.bodies)
    assert {path.rpartition("/")[2] for path in fake.paths} == {"completions", "embeddings"}

    out, gates = tmp_path / "qa", []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for room in (2, 9, 7):  # among the first items, the votes of the first chunk, the second chunk
        known = lines(out / "answers.jsonl"), lines(out / "embeddings.jsonl")
        fake.answer = gate = Gate(room)
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(job)], env=environment)
        while not gate.held or (lines(out / "answers.jsonl"), lines(out / "embeddings.jsonl")) != (
            known[0] + gate.answers,
            known[1] + gate.vectors,
        ):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
        gates.append(gate)
        gate.opened.set()
        assert not (out / "accepted.jsonl").exists()
    assert 0 < lines(out / "answers.jsonl") < lines(tmp_path / "whole" / "answers.jsonl")
    fake.answer = model
    sapwood("synthesize", job)
    for name in ("accepted", "rejected"):
        assert (out / f"{name}.jsonl").read_bytes() == (tmp_path / "whole" / f"{name}.jsonl").read_bytes()
    found = [line["attempt"] for name in ("accepted", "rejected") for line in read_lines(out / f"{name}.jsonl")]
    assert len(found) == len(set(found)) == PAGES
    assert read_json(out / "account.json") == read_json(tmp_path / "whole" / "account.json")
    assert len(fake.bodies) - whole == whole + sum(
        gate.held for gate in gates
    )  # what was answered was not asked for again
