from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_server import ask, echo, embedded
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.generation import batch
from sapwood.generation.batch import read_batch, write_batch
from sapwood.generation.cache import Cache, Completion
from sapwood.generation.vectors import Text, Vectors
from sapwood.recipe.server import ModelServer

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
    monkeypatch.setattr(batch, "LINES", 4)
    files = write_batch(tmp_path, "m", SERVER, requests)
    assert [len(read_lines(file)) for file in files] == [4, 4, 2]
    monkeypatch.setattr(batch, "BYTES", 1000)
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
    assert counts["not a result of OpenAI's form"] == 2
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
    assert read_batch([path], cache, vectors) == {"not a result of OpenAI's form": 1}
