"""OpenAI batch files: requests that somebody else has answered, `vllm run-batch` or a provider's batch service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson
import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import write_atomic
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.response import BUSY
from sapwood.generation.secret import Secret
from sapwood.generation.vectors import Text, Vectors, vectors_of
from sapwood.recipe.server import ModelServer

LINES = 50_000
"""Requests in a file at most: OpenAI's limit."""
BYTES = 190 * 10**6
"""Of a file at most; OpenAI's limit is 200 MB."""
_NOT_ASKED = ("batch_cancelled", "batch_expired")
"""What OpenAI's service says of requests that no model was asked."""


def write_batch(directory: Path, name: str, server: ModelServer, requests: Iterable[Request | Text]) -> list[Path]:
    """Writes the requests into `directory/NAME-00000.jsonl` and on, each once, and returns the files.

    They must be of one kind: no service takes prompts and texts to be embedded in one file.
    """
    paths = []
    for number, lines in enumerate(_portions(_lines(server, requests))):
        path = directory / f"{name}-{number:05d}.jsonl"
        write_atomic(path, b"".join(lines))
        paths.append(path)
    return paths


def read_batch(files: Sequence[Path], cache: Cache, vectors: Vectors, secrets: Sequence[Secret] = ()) -> Counter[str]:
    """Takes in the answers in result files, without the `secrets`. Counts `answered`, and the others by why they are
    not.

    What has no answer is asked again, and given up like what a server does not answer (`Cache.fail`), where others in
    these files were answered. A line counts once, however often it is taken in.

    Raises SapwoodError where there is no such file.
    """
    counts: Counter[str] = Counter()
    failed: list[tuple[str, str, str]] = []
    for path in files:
        if not path.is_file():
            raise SapwoodError(f"There is no file {path} of answers.")
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    counts[_take(line, cache, vectors, secrets, failed)] += 1
    if counts["answered"]:
        for key, run, reason in failed:
            if cache.get(key) is None:
                cache.fail(key, run, reason)
    return counts


def _take(
    line: bytes, cache: Cache, vectors: Vectors, secrets: Sequence[Secret], failed: list[tuple[str, str, str]]
) -> str:
    """Takes in the answer of one line, and says what became of it. What the model did not answer goes to `failed`."""
    try:
        result = orjson.loads(line)
        for secret in secrets:
            result = secret.hide(result)
        key, response = result["custom_id"], result["response"]
        status = 200 if response is None else int(response["status_code"])
        if status != 200:
            if status not in BUSY:
                failed.append((str(key), xxhash.xxh3_64_hexdigest(line.strip()), f"status {status}"))
            return f"status {status}"
        error = result.get("error")
        if error is not None or response is None:
            reason = f"failed: {str(error)[:100]}"
            if not (isinstance(error, dict) and error.get("code") in _NOT_ASKED):
                failed.append((str(key), xxhash.xxh3_64_hexdigest(line.strip()), reason))
            return reason
        body = response["body"]
        if "data" in body:
            (vector,) = vectors_of(body, 1)
            if vectors.get(key) is None:
                vectors.put(key, vector)
        else:
            completion = Completion.from_body(body)
            if cache.get(key) is None:
                cache.put(key, completion)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "not a result of OpenAI's form"
    return "answered"


def _lines(server: ModelServer, requests: Iterable[Request | Text]) -> Iterator[bytes]:
    for key, request in {request.key(server): request for request in requests}.items():
        line = {"custom_id": key, "method": "POST", "url": f"/v1/{request.path}", "body": request.body(server)}
        yield orjson.dumps(line) + b"\n"


def _portions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for line in lines:
        if portion and (len(portion) == LINES or size + len(line) > BYTES):
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    if portion:
        yield portion
