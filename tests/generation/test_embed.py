from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_server import Answer, Fake, asked_text, embedded
from sapwood.errors import SapwoodError
from sapwood.generation import connection
from sapwood.generation.asker import Asker
from sapwood.generation.cache import RUNS
from sapwood.generation.client import GIVEN_UP, REFUSED, Failure
from sapwood.generation.embed import Embedded, vectors_of
from sapwood.recipe.server import ModelServer

Serve = Callable[[Answer], Fake]


def vectors(directory: Path, server: ModelServer, texts: list[str]) -> Any:
    found = Asker(directory).embed(server, texts)
    assert isinstance(found, Embedded)
    assert not found.failures
    return found.vectors


def test_vectors_come_in_order_and_are_asked_for_once(serve: Serve, tmp_path: Path) -> None:
    fake = serve(embedded)
    server = ModelServer(url=fake.url, model="e")
    texts = [f"text {number}" for number in range(150)]
    found = vectors(tmp_path, server, texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert len(fake.bodies) == 3  # of 64 texts at most
    again = vectors(tmp_path, server, [*reversed(texts), "text 3"])
    np.testing.assert_array_equal(again, np.concatenate([found[::-1], found[3:4]]))
    assert len(fake.bodies) == 3
    Asker(tmp_path).embed(ModelServer(url=fake.url, model="e", revision="2"), texts[:1])
    assert len(fake.bodies) == 4


def test_what_was_cut_short_is_asked_for_again_and_nothing_else(serve: Serve, tmp_path: Path) -> None:
    fake = serve(embedded)
    server = ModelServer(url=fake.url, model="e")
    found = vectors(tmp_path, server, ["a", "b", "c"])
    path = tmp_path / "embeddings.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    np.testing.assert_array_equal(vectors(tmp_path, server, ["a", "b", "c"]), found)
    assert [body["input"] for body in fake.bodies] == [["a", "b", "c"], ["c"]]
    assert path.read_bytes().count(b"\n") == 3


def test_a_text_that_the_server_refuses_fails_and_the_others_are_kept(serve: Serve, tmp_path: Path) -> None:
    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return (400, {"error": "too long"}) if "long" in asked_text(body) else embedded(body, before)

    fake = serve(answer)
    server = ModelServer(url=fake.url, model="e")
    texts = [f"text {number}" for number in range(64)]
    found = Asker(tmp_path).embed(server, ["long", *texts])
    assert isinstance(found, Embedded)
    assert {number: (failure.final, failure.reason[-8:]) for number, failure in found.failures.items()} == {
        0: (REFUSED, "too long")
    }
    asked = len(fake.bodies)
    np.testing.assert_array_equal(vectors(tmp_path, server, texts), found.vectors)
    assert len(fake.bodies) == asked


def test_a_text_that_is_never_answered_is_given_up_and_takes_no_other_with_it(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    away = False

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return (500, {}) if away or "bad" in body["input"] else embedded(body, before)

    fake = serve(answer)
    server = ModelServer(url=fake.url, model="e", parallel=2)
    for _ in range(RUNS - 1):
        found = Asker(tmp_path).embed(server, ["a", "bad", "b"])
        assert isinstance(found, Failure)
        assert not found.final
    away = True
    for _ in range(RUNS):  # in vain for all: it costs no text anything
        assert isinstance(Asker(tmp_path).embed(server, ["a", "bad", "b", "c"]), Failure)
    away = False
    found = Asker(tmp_path).embed(server, ["a", "bad", "b", "c"])
    assert isinstance(found, Embedded)
    assert found.failures == {1: Failure(f"no answer in {RUNS} runs: status 500: {{}}", final=GIVEN_UP)}
    assert len(found.vectors) == 3
    asked = fake.asked["bad"]
    Asker(tmp_path).embed(server, ["bad"])
    assert fake.asked["bad"] == asked


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
    assert len(vectors(tmp_path, ModelServer(url="http://localhost:1/v1", model="e"), [])) == 0
