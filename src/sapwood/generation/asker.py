"""All that is asked in one job: its answers in two files, and requests that wait for a batch service."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import orjson
import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import write_atomic
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import Failure, complete, given_up
from sapwood.generation.connection import QUESTION
from sapwood.generation.embed import Embedded, Text, Vectors, embed, gather, vectors_of
from sapwood.generation.response import BUSY
from sapwood.generation.secret import Secret
from sapwood.progress import track
from sapwood.recipe.server import ModelServer

LINES = 50_000
"""Requests in a file at most: OpenAI's limit."""
BYTES = 190 * 10**6
"""Of a file at most; OpenAI's limit is 200 MB."""
_NOT_ASKED = ("batch_cancelled", "batch_expired")
"""What OpenAI's service says of requests that no model was asked."""
_MALFORMED = "not a result of OpenAI's form"


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
    wrong: list[str] = []
    failed: list[tuple[str, str, str]] = []
    for path in files:
        if not path.is_file():
            raise SapwoodError(f"There is no file {path} of answers.")
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    reason = _take(line, cache, vectors, secrets, failed)
                    if reason == _MALFORMED:
                        wrong.append(f"{path}:{number}")
                    else:
                        counts[reason] += 1
    if wrong:
        counts[f"{_MALFORMED}, first at {wrong[0]}"] = len(wrong)
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
        return _MALFORMED
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


ANSWERS, EMBEDDINGS = "answers.jsonl", "embeddings.jsonl"
AWAITED = Failure("waits for an answer")
"""What a request gets that is not sent."""
EVERY = Request(({"role": "user", "content": QUESTION},), max_tokens=16)
"""What every model can answer."""


class Asker:
    """Asks servers, and remembers what they answered. Of those that it does not ask, it collects the requests."""

    def __init__(
        self,
        directory: Path,
        asks: Callable[[ModelServer], bool] = lambda _: True,
        servers: Iterable[ModelServer] = (),
    ) -> None:
        """The answers are in `directory/answers.jsonl`, vectors of texts in `directory/embeddings.jsonl`.

        The keys of `servers` are hidden in what others answered.
        """
        self._cache = Cache(directory / ANSWERS)
        self._vectors = Vectors(directory / EMBEDDINGS)
        self._asks = asks
        self._secrets = [Secret.known(server) for server in servers]
        self._awaited: dict[str, tuple[ModelServer, list[Request | Text]]] = {}

    def __call__(self, server: ModelServer, requests: Sequence[Request]) -> list[Completion | Failure]:
        """The answers, in the order of the requests. Raises SapwoodError where the server cannot be used."""
        if self._asks(server):
            if not requests:
                return []
            with track(_kind(requests), len(requests)) as advance:
                return complete(server, requests, self._cache, advance)
        keys = [request.key(server) for request in requests]
        found = [self._cache.get(key) or given_up(self._cache, key) for key in keys]
        asked = list(zip(requests, found, strict=True))
        known = next((request for request, answer in asked if isinstance(answer, Completion)), EVERY)
        self._await(server.label, server, [request for request, answer in asked if answer is None], known)
        return [answer or AWAITED for answer in found]

    def embed(self, server: ModelServer, texts: Sequence[str]) -> Embedded | Failure:
        """The vectors of the texts; a failure where one of them has none this time.

        Raises SapwoodError where the server cannot be used.
        """
        wanted = [Text(text) for text in texts]
        if self._asks(server):
            with track("embeddings", len(texts)) as advance:
                failures = embed(server, wanted, self._vectors, self._cache, advance)
        else:
            missing = [text for text in wanted if self._vectors.get(text.key(server)) is None]
            failures = {key: given_up(self._cache, key) or AWAITED for text in missing if (key := text.key(server))}
            known = next((text for text in wanted if text.key(server) not in failures), Text("yes"))
            awaited = [text for text in missing if failures[text.key(server)] == AWAITED]
            self._await(f"{server.label}-embeddings", server, awaited, known)
        by_number = {
            number: failures[key] for number, text in enumerate(wanted) if (key := text.key(server)) in failures
        }
        unsettled = next((failure for failure in by_number.values() if not failure.final), None)
        return unsettled or Embedded(gather(server, wanted, self._vectors), by_number)

    def _await(self, name: str, server: ModelServer, requests: Sequence[Request | Text], known: Request | Text) -> None:
        """Collects requests; and, where one had no answer before, what is `known` to have one: is it the server?"""
        if requests:
            failed = any(self._cache.failures(request.key(server)) for request in requests)
            self._awaited.setdefault(name, (server, []))[1].extend([*requests, *([known] if failed else [])])

    def read_batch(self, files: Sequence[Path]) -> Counter[str]:
        """Takes in the result files of a batch service: how many lines were `answered`, and why others were not."""
        return read_batch(files, self._cache, self._vectors, self._secrets)

    @property
    def awaits(self) -> bool:
        """Whether requests were collected."""
        return bool(self._awaited)

    def take_awaited(self) -> list[tuple[ModelServer, list[Request | Text]]]:
        """The collected requests to each model, which are forgotten here."""
        awaited, self._awaited = self._awaited, {}
        return list(awaited.values())

    def write_awaited(self, directory: Path) -> list[Path]:
        """Writes the collected requests as batch files, in place of those of before, and returns them."""
        for stale in directory.glob("*.jsonl"):
            stale.unlink()
        return [
            path
            for name, (server, requests) in self._awaited.items()
            for path in write_batch(directory, file_name(name), server, requests)
        ]


def file_name(model: str) -> str:
    """The name of a model as that of a file."""
    return re.sub(r"[^\w.-]+", "-", model)


def _kind(requests: Sequence[Request]) -> str:
    """The name of the prompts, for the progress bar: that of all requests, or that of the first and a sign for more."""
    names = list(dict.fromkeys(request.prompt.partition("@")[0].rpartition("/")[2] for request in requests))
    return names[0] + (" …" if len(names) > 1 else "") if names[0] else "requests"
