from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.generation.cache import Cache, Completion, Request
from sapwood.recipe.server import ModelServer


def key(number: int) -> str:
    return f"{number:032x}"


def answer(text: str) -> Completion:
    return Completion(text, "stop", 3, len(text))


@given(texts=st.lists(st.text(max_size=40), max_size=12), cut=st.integers(0, 10**6))
def test_every_whole_line_is_kept_wherever_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int
) -> None:
    path = tmp_path_factory.mktemp("cache") / "a.jsonl"
    cache = Cache(path)
    for number, text in enumerate(texts):
        cache.put(key(number), answer(text))
        assert cache.get(key(number)) == answer(text)
    content = path.read_bytes() if texts else b""
    size = cut % (len(content) + 1)
    path.write_bytes(content[:size])
    whole = content[:size].count(b"\n")
    again = Cache(path)
    assert [again.get(key(number)) for number in range(len(texts))] == [
        answer(text) if number < whole else None for number, text in enumerate(texts)
    ]
    again.put(key(99), answer("new"))
    assert len(Cache(path)) == whole + 1
    assert Cache(path).get(key(99)) == answer("new")
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_long_answers_and_others_that_write(tmp_path: Path) -> None:
    first, second = Cache(tmp_path / "a.jsonl"), Cache(tmp_path / "a.jsonl")
    for number in range(0, 20, 2):
        first.put(key(number), answer("x" * 5000 * number))
        second.put(key(number + 1), answer("y" * 3000 * number))
    assert first.get(key(18)) == answer("x" * 5000 * 18)
    assert second.get(key(19)) == answer("y" * 3000 * 18)
    assert len(Cache(tmp_path / "a.jsonl")) == 20


def test_what_cannot_be_read_was_not_answered(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    cache = Cache(path)
    for number in range(3):
        cache.put(key(number), answer("text"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"key":"' + key(1).encode() + b'","te\n' + b"\xff\n\n" + lines[2])
    again = Cache(path)
    assert [again.get(key(number)) is not None for number in range(3)] == [True, False, True]
    assert key(1) not in again


def test_the_last_answer_counts_and_lines_may_be_written_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    record = {"text": "by hand", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2, "key": key(5)}
    path.write_text(json.dumps(record, indent=None) + "\n")
    cache = Cache(path)
    assert cache.get(key(5)) == Completion("by hand", "stop", 1, 2)
    cache.put(key(5), answer("later"))
    assert Cache(path).get(key(5)) == answer("later")


def test_looking_writes_nothing(tmp_path: Path) -> None:
    assert Cache(tmp_path / "deep" / "a.jsonl").get(key(1)) is None
    assert not list(tmp_path.iterdir())


def test_keys_tell_requests_apart() -> None:
    server = ModelServer(url="http://a/v1", model="m")
    message = ({"role": "user", "content": "q"},)
    requests = [
        Request(message),
        Request(({"role": "user", "content": "other"},)),
        Request(message, temperature=0.5),
        Request(message, top_p=0.5),
        Request(message, max_tokens=7),
        Request(message, stop=("\n",)),
        Request(message, schema={"type": "object"}),
        Request(message, prompt="p@1"),
        Request(message, sample=1),
    ]
    servers = [
        server,
        ModelServer(url="http://a/v1", model="n"),
        ModelServer(url="http://a/v1", model="m", revision="r"),
    ]
    keys = {request.key(one) for request in requests for one in servers}
    assert len(keys) == 27
    assert Request(({"content": "q", "role": "user"},)).key(server) == requests[0].key(server)
    elsewhere = ModelServer(url="http://b/v1", model="m", parallel=3, timeout="1s", key="K")
    assert requests[0].key(elsewhere) == requests[0].key(server)
