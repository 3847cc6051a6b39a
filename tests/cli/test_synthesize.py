"""Synthesis jobs from the command line, against a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_server import Answer, Fake
from sapwood.errors import SapwoodError
from sapwood.files import read_json, read_lines
from sapwood.generation import connection
from sapwood.recipe.data import Source
from sapwood.synthesis.source import write_source
from synthesis_jobs import PAGES, generator, model, sapwood, write_job

pytestmark = pytest.mark.slow


def test_items_are_verified_and_not_asked_for_twice(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(generator)
    job = write_job(tmp_path, fake.url)
    sapwood("synthesize", job)
    accepted, rejected = (read_lines(tmp_path / "qa" / f"{name}.jsonl") for name in ("accepted", "rejected"))
    assert len(accepted) + len(rejected) == PAGES
    assert accepted
    for item in accepted:
        assert int(item["answer"]) % 2 == 0
        assert item["page"]["url"].startswith("https://physics.example.org/")
        assert item["verification"]["self_consistency"]["score"] == 1
    reasons = {item["stage"] for item in rejected}
    assert {"format", "self_consistency"} <= reasons
    page = (tmp_path / "qa" / "synthesis.html").read_text(encoding="utf-8")
    assert "What became of the attempts" in page
    account = read_json(tmp_path / "qa" / "account.json")
    assert account["accepted"] == len(accepted)
    asked = len(fake.bodies)
    sapwood("synthesize", job)
    (tmp_path / "qa" / "manifest.json").unlink()  # as if it had been killed at the end
    sapwood("synthesize", "run", job)
    sapwood("synthesize", job, "verify.self_consistency.agreement=100%")
    assert len(fake.bodies) == asked
    documents = read_lines(write_source("qa", Source(synthesis=str(job)), 0, tmp_path / "documents"))
    assert len(documents) == len(accepted)
    assert documents[0]["text"].startswith(documents[0]["question"])


def test_an_answer_that_nothing_checked_is_not_accepted(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(generator)
    job = write_job(tmp_path, fake.url, verify={"self_consistency": None})
    sapwood("synthesize", job)
    assert not read_lines(tmp_path / "qa" / "accepted.jsonl")
    rejected = read_lines(tmp_path / "qa" / "rejected.jsonl")
    unchecked = [item for item in rejected if item["stage"] == "checked"]
    assert {item["reason"] for item in unchecked} == {"no stage could check the answer"}
    asked = len(fake.bodies)
    sapwood("synthesize", job, "verify.unchecked=keep")
    assert len(read_lines(tmp_path / "qa" / "accepted.jsonl")) == len(unchecked) > 0
    assert len(fake.bodies) == asked


def test_what_has_no_answer_is_asked_for_next_time(
    serve: Callable[[Answer], Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    broken = True

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        if broken and "sample 3 " in body["messages"][-1]["content"]:
            return 408, {"error": "no time"}
        return generator(body, before)

    fake = serve(answer)
    job = write_job(tmp_path, fake.url)
    with pytest.raises(Exception, match="got no answer"):
        sapwood("synthesize", job)
    assert not (tmp_path / "qa" / "accepted.jsonl").exists()
    asked = len(fake.bodies)
    broken = False
    sapwood("synthesize", job)
    assert len(read_lines(tmp_path / "qa" / "accepted.jsonl")) > 3
    assert len(fake.bodies) <= asked + 3


def test_what_a_server_refuses_is_given_up_and_listed(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        refused = "sample 3 " in body["messages"][-1]["content"]
        return (403, {"error": "content filter"}) if refused else generator(body, before)

    fake = serve(answer)
    job = write_job(tmp_path, fake.url)
    sapwood("synthesize", job)
    assert len(read_lines(tmp_path / "qa" / "accepted.jsonl")) > 3
    given_up = [
        row for row in read_lines(tmp_path / "qa" / "rejected.jsonl") if row["reason"] == "refused by the server"
    ]
    assert given_up
    assert "content filter" in str(given_up[0]["verification"])
    asked = len(fake.bodies)
    sapwood("synthesize", job)
    assert len(fake.bodies) == asked


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("asked", ["sample 3 ", "made of 6 pieces"], ids=["the generator", "a stage"])
def test_what_is_never_answered_is_given_up_and_listed(
    serve: Callable[[Answer], Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, asked: str
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.1)
    fake = serve(
        lambda body, n: (status, {"error": "oops"}) if asked in body["messages"][-1]["content"] else generator(body, n)
    )
    job = write_job(tmp_path, fake.url)
    for _ in range(2):
        with pytest.raises(SapwoodError, match="got no answer"):
            sapwood("synthesize", job)
    sapwood("synthesize", job)
    accepted, rejected = (read_lines(tmp_path / "qa" / f"{name}.jsonl") for name in ("accepted", "rejected"))
    assert len(accepted) > 2
    assert len(accepted) + len(rejected) == PAGES
    given_up = [row for row in rejected if row["reason"] == "no answer from the server"]
    assert len(given_up) == 1
    assert f"no answer in 3 runs: status {status}: oops" in str(given_up[0]["verification"])


def test_a_batch_service_and_a_fleet_give_the_same_items(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(model)
    copies = {"embedding": {"url": fake.url, "model": "e"}, "cosine": 0.999}
    job = write_job(
        tmp_path, fake.url, verify={"self_consistency": {"samples": 2, "agreement": "50%"}, "near_duplicates": copies}
    )
    sapwood("synthesize", job)
    embeddings = [body for body in fake.bodies if "input" in body]
    assert len(embeddings) == 1
    wanted = (tmp_path / "qa" / "accepted.jsonl").read_bytes()
    for name in ("answers.jsonl", "embeddings.jsonl", "manifest.json", "accepted.jsonl"):
        (tmp_path / "qa" / name).unlink()
    for path in (tmp_path / "qa" / "items").glob("*"):
        path.unlink()
    results = tmp_path / "results.jsonl"
    sapwood("synthesize", job, "--batch")
    asked = len(fake.bodies)
    sapwood("synthesize", job, "output=by-a-fleet", "fleet.m.serve=endpoint", "fleet.m.tasks=2")
    assert (tmp_path / "by-a-fleet" / "accepted.jsonl").read_bytes() == wanted
    assert not list((tmp_path / "by-a-fleet" / "fleet").iterdir())
    assert len(fake.bodies) == 2 * asked
    asked = len(fake.bodies)
    for _ in range(4):
        lines = []
        for line in (line for path in (tmp_path / "qa" / "requests").iterdir() for line in read_lines(path)):
            _, content = model(line["body"], 0)
            response = {"status_code": 200, "body": content}
            lines.append(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}))
        results.write_text("\n".join(lines), encoding="utf-8")
        sapwood("synthesize", job, "--batch", "--answers", results)
        if (tmp_path / "qa" / "accepted.jsonl").exists():
            break
    assert (tmp_path / "qa" / "accepted.jsonl").read_bytes() == wanted
    assert len(fake.bodies) == asked


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        (
            {"cross_lingual": {"judge": {"url": "http://x/v1", "model": "j"}}},
            "verify.cross_lingual: has no benchmarks to look in",
        ),
        (
            {"contamination": {"benchmarks": "b.jsonl", "action": "cut"}},
            "contamination.action: .* cannot be cut",
        ),
    ],
)
def test_verification_that_would_check_nothing_is_refused(tmp_path: Path, verify: dict[str, Any], said: str) -> None:
    job = write_job(tmp_path, "http://localhost:1/v1", verify=verify)
    with pytest.raises(SapwoodError, match=said):
        sapwood("synthesize", job)


def test_a_dry_run_states_what_it_takes_and_asks_nothing(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    fake = serve(generator)
    job = write_job(tmp_path, fake.url)
    sapwood("synthesize", job, "--dry-run")
    assert not fake.bodies
    assert not (tmp_path / "qa" / "accepted.jsonl").exists()


def test_labelled_items_calibrate_the_votes(serve: Callable[[Answer], Fake], tmp_path: Path) -> None:
    job = write_job(tmp_path, serve(generator).url)
    sapwood("synthesize", job)
    labels = tmp_path / "labels.jsonl"
    sapwood("synthesize", "sample", job, labels, "--count", 8)
    lines = read_lines(labels)
    assert {line["accepted"] for line in lines} == {True, False}
    for line in lines:
        line["correct"] = int(line["answer"]) % 2 == 0
    labels.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    sapwood("synthesize", "calibrate", job, labels, "--target", 0.5)
    found = read_json(tmp_path / "qa" / "calibration.json")
    assert found["labelled"] == len(lines)
    assert found["stages"]["self_consistency"]["threshold"] == 1
    assert found["accepted"]["precision"] == 1
    assert "precision-self_consistency" in (tmp_path / "qa" / "synthesis.html").read_text(encoding="utf-8")
