from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_server import Answer, Fake, asked_text, embedded
from sapwood.errors import SapwoodError
from sapwood.generation.asker import Asker
from sapwood.generation.client import Failure
from sapwood.generation.vectors import vectors_of
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]


def test_vectors_come_in_order_and_are_asked_for_once(serve: Serve, tmp_path: Path) -> None:
    fake = serve(embedded)
    server = ModelServer(url=fake.url, model="e")
    texts = [f"text {number}" for number in range(150)]
    found = Asker(tmp_path).embed(server, texts)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert len(fake.bodies) == 3  # of 64 texts at most
    again = Asker(tmp_path).embed(server, [*reversed(texts), "text 3"])
    np.testing.assert_array_equal(again, np.concatenate([found[::-1], found[3:4]]))
    assert len(fake.bodies) == 3
    Asker(tmp_path).embed(ModelServer(url=fake.url, model="e", revision="2"), texts[:1])
    assert len(fake.bodies) == 4


def test_what_was_cut_short_is_asked_for_again_and_nothing_else(serve: Serve, tmp_path: Path) -> None:
    fake = serve(embedded)
    server = ModelServer(url=fake.url, model="e")
    found = Asker(tmp_path).embed(server, ["a", "b", "c"])
    path = tmp_path / "embeddings.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    np.testing.assert_array_equal(Asker(tmp_path).embed(server, ["a", "b", "c"]), found)
    assert [body["input"] for body in fake.bodies] == [["a", "b", "c"], ["c"]]
    assert path.read_bytes().count(b"\n") == 3


def test_a_text_that_the_server_refuses_fails_and_the_others_are_kept(serve: Serve, tmp_path: Path) -> None:
    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return (400, {"error": "too long"}) if "long" in asked_text(body) else embedded(body, before)

    fake = serve(answer)
    server = ModelServer(url=fake.url, model="e")
    texts = [f"text {number}" for number in range(64)]
    found = Asker(tmp_path).embed(server, [*texts, "long"])
    assert isinstance(found, Failure)
    assert "too long" in found.reason
    asked = len(fake.bodies)
    assert isinstance(Asker(tmp_path).embed(server, texts), np.ndarray)
    assert len(fake.bodies) == asked


def test_vectors_of_two_lengths_are_of_two_models(serve: Serve, tmp_path: Path) -> None:
    size = 2

    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        return 200, {"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(body["input"]))]}

    server = ModelServer(url=serve(answer).url, model="e")
    Asker(tmp_path).embed(server, ["a"])
    size = 3
    with pytest.raises(SapwoodError, match="Give it a `revision`"):
        Asker(tmp_path).embed(server, ["a", "b"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([{"index": 0, "embedding": [1, 2]}], "shape (1, 2) for 2 texts"),
        ([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [0]}], "without a direction"),
        ([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [float("nan")]}], "without a direction"),
        ([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}], "another form"),
        ([{"embedding": [1]}] * 2, "another form"),
        (None, "another form"),
    ],
)
def test_answers_that_are_no_embeddings(data: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        vectors_of({"data": data}, 2)


def test_no_texts(tmp_path: Path) -> None:
    found = Asker(tmp_path).embed(ModelServer(url="http://localhost:1/v1", model="e"), [])
    assert isinstance(found, np.ndarray)
    assert len(found) == 0
