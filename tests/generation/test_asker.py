from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fake_server import Answer, Fake, ask, echo, embedded
from sapwood.files import read_lines
from sapwood.generation.asker import AWAITED, Asker
from sapwood.generation.cache import Completion
from sapwood.generation.embed import Embedded
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
