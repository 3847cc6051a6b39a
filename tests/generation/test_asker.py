from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_server import Answer, Fake, ask, echo, embedded
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.generation import asker
from sapwood.generation.asker import AWAITED, Asker, read_batch, write_batch
from sapwood.generation.cache import Cache, Completion
from sapwood.generation.embed import Embedded, Text, Vectors
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]


def test_what_was_answered_is_not_asked_by_the_next_one(serve: Serve, tmp_path: Path) -> None:
    fake = serve(echo)
    server = ModelServer(url=fake.url, model="m")
    assert Asker(tmp_path)(server, []) == []
    found = Asker(tmp_path)(server, [ask("a"), ask("b")])
    assert Asker(tmp_path)(server, [ask("b"), ask("a")]) == found[::-1]
    assert len(fake.bodies) == 2


def test_one_that_does_not_send_collects_what_has_no_answer(serve: Serve, tmp_path: Path) -> None:
    fake = serve(echo)
    server = ModelServer(url=fake.url, model="org/m")
    judge = ModelServer(url=fake.url, model="judge")
    Asker(tmp_path)(server, [ask("known")])
    asker = Asker(tmp_path, lambda _: False)
    found = asker(server, [ask("known"), ask("new"), ask("newer")])
    assert isinstance(found[0], Completion)
    assert found[1:] == [AWAITED, AWAITED]
    assert asker(judge, [ask("new")]) == [AWAITED]
    assert asker(server, [ask("new")]) == [AWAITED]
    assert asker.embed(server, ["text"]) == AWAITED
    assert len(fake.bodies) == 1
    directory = tmp_path / "requests"
    directory.mkdir()
    (directory / "stale-00000.jsonl").write_text("{}")
    files = asker.write_awaited(directory)
    assert sorted(files) == sorted(directory.iterdir())
    sizes = {file.name: len(read_lines(file)) for file in files}
    assert sizes == {"org-m-00000.jsonl": 2, "judge-00000.jsonl": 1, "org-m-embeddings-00000.jsonl": 1}


def test_what_others_answered_is_taken_in(tmp_path: Path) -> None:
    server = ModelServer(url="http://localhost:1/v1", model="m")
    asker = Asker(tmp_path, lambda _: False)
    asker(server, [ask("a")])
    asker.embed(server, ["a", "b"])
    results = tmp_path / "results.jsonl"
    with results.open("w") as file:
        for line in (line for path in asker.write_awaited(tmp_path / "requests") for line in read_lines(path)):
            answer = embedded if line["url"] == "/v1/embeddings" else echo
            response = {"status_code": 200, "body": answer(line["body"], 0)[1]}
            file.write(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}) + "\n")
    asker = Asker(tmp_path, lambda _: False)
    assert asker.read_batch([results]) == {"answered": 3}
    assert asker(server, [ask("a")]) == [Completion("A", "stop", 7, 2)]
    assert isinstance(asker.embed(server, ["b", "a"]), Embedded)
    assert asker.write_awaited(tmp_path / "requests") == []


SERVER = ModelServer(url="http://localhost:1/v1", model="m")


def result(key: str, body: Any, status: int = 200, error: Any = None) -> str:
    response = None if body is None else {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "i", "custom_id": key, "response": response, "error": error})


def test_requests_are_written_once_in_openais_form(tmp_path: Path) -> None:
    requests = [ask("one", temperature=0.5, stop=("<END>",)), ask("two"), ask("one", temperature=0.5, stop=("<END>",))]
    (path,) = write_batch(tmp_path, "m", SERVER, requests)
    first, second = read_lines(path)
    assert first == {
        "custom_id": requests[0].key(SERVER),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "m",
            "messages": [{"role": "user", "content": "one"}],
            "temperature": 0.5,
            "top_p": 1.0,
            "max_tokens": 512,
            "stop": ["<END>"],
        },
    }
    assert second["custom_id"] == requests[1].key(SERVER)
    (path,) = write_batch(tmp_path, "e", SERVER, [Text("one")])
    (line,) = read_lines(path)
    assert (line["url"], line["body"]) == ("/v1/embeddings", {"model": "m", "input": ["one"]})


def test_files_hold_no_more_than_services_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [ask(f"q{number}" * 50) for number in range(10)]
    monkeypatch.setattr(asker, "LINES", 4)
    files = write_batch(tmp_path, "m", SERVER, requests)
    assert [len(read_lines(file)) for file in files] == [4, 4, 2]
    monkeypatch.setattr(asker, "BYTES", 1000)
    files = write_batch(tmp_path, "m", SERVER, requests)
    assert all(file.stat().st_size <= 1000 for file in files)
    found = [line["custom_id"] for file in files for line in read_lines(file)]
    assert found == [request.key(SERVER) for request in requests]


def test_results_are_taken_in_whatever_stands_between_them(tmp_path: Path) -> None:
    cache, vectors = Cache(tmp_path / "a.jsonl"), Vectors(tmp_path / "e.jsonl")
    one, two, text = (request.key(SERVER) for request in (ask("one"), ask("two"), Text("one")))
    lines = [
        result(two, echo(ask("two").body(SERVER), 0)[1]),
        result("b" * 32, None, error={"code": "expired", "message": "late"}),
        result("c" * 32, {"error": "no"}, status=400),
        "",
        result("d" * 32, {"choices": []}),
        result(text, embedded(Text("one").body(SERVER), 0)[1]),
        result(one, echo(ask("one").body(SERVER), 0)[1]),
        '{"custom_id": "cut sho',
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    counts = read_batch([path], cache, vectors)
    assert counts["answered"] == 3
    assert counts["status 400"] == 1
    assert counts[f"not a result of OpenAI's form, first at {path}:5"] == 2
    assert sum("expired" in reason for reason in counts) == 1
    assert cache.get(one) == Completion("ONE", "stop", 7, 2)
    assert cache.get(two) == Completion("TWO", "stop", 7, 2)
    vector = vectors.get(text)
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1)
    sizes = [(tmp_path / name).stat().st_size for name in ("a.jsonl", "e.jsonl")]
    read_batch([path], cache, vectors)  # again: nothing is written twice
    assert [(tmp_path / name).stat().st_size for name in ("a.jsonl", "e.jsonl")] == sizes


def test_a_file_without_answers(tmp_path: Path) -> None:
    cache, vectors = Cache(tmp_path / "a.jsonl"), Vectors(tmp_path / "e.jsonl")
    path = tmp_path / "results.jsonl"
    with pytest.raises(SapwoodError, match="There is no file"):
        read_batch([path], cache, vectors)
    path.write_text('{"text": "a page"}\n', encoding="utf-8")
    assert read_batch([path], cache, vectors) == {f"not a result of OpenAI's form, first at {path}:1": 1}
