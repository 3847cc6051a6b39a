"""Texts in, vectors out, from a server of embeddings; nothing is asked twice."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from sapwood.errors import SapwoodError
from sapwood.generation.cache import RUNS, Cache
from sapwood.generation.client import REFUSED, Failure, given_up
from sapwood.generation.connection import Connection, for_each
from sapwood.generation.lines import Lines
from sapwood.generation.response import UnansweredError
from sapwood.progress import Advance
from sapwood.recipe.server import ModelServer

Vector = npt.NDArray[np.float32]
"""`[dimensions]`, of length 1."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is to be embedded."""

    path: ClassVar[str] = "embeddings"
    """Where a server takes it, below its root."""

    text: str

    def key(self, server: ModelServer) -> str:
        """Identifies the vector that a model gives, on whatever server."""
        return xxhash.xxh3_128_hexdigest(orjson.dumps(["embedding", server.model, server.revision, self.text]))

    def body(self, server: ModelServer) -> dict[str, Any]:
        """What stands in a line of a batch file. To `/embeddings`, many texts are sent at once."""
        return {"model": server.model, "input": [self.text]}


class Vectors:
    """The vectors in a file (`Lines`)."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def get(self, key: str) -> Vector | None:
        """The vector, if there is one."""
        line = self._lines.get(key)
        return None if line is None else np.frombuffer(base64.b64decode(line["vector"]), "<f4").astype(np.float32)

    def put(self, key: str, vector: Vector) -> None:
        """Remembers a vector, on the disk too: its numbers as little-endian float32, in base 64."""
        self._lines.put(key, {"vector": base64.b64encode(vector.astype("<f4").tobytes()).decode()})


def vectors_of(body: Mapping[str, Any], count: int) -> list[Vector]:
    """The vectors in the body of a response of `/embeddings`, in the order of the texts.

    Raises ValueError where it has another form, or other than `count` vectors.
    """
    try:
        rows = sorted(body["data"], key=lambda row: int(row["index"]))
        numbers = [int(row["index"]) for row in rows]
        with np.errstate(over="ignore"):  # what is too large is found below
            found = np.array([row["embedding"] for row in rows], np.float32)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"embeddings in another form than OpenAI's ({type(error).__name__})") from None
    if found.ndim != 2 or len(found) != count:
        raise ValueError(f"embeddings of the shape {found.shape} for {count} texts")
    if numbers != list(range(count)):
        raise ValueError(f"embeddings numbered {numbers[:9]} for {count} texts")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise ValueError("an embedding without a direction: zeros, or not finite")
    return list(found / lengths)


BATCH = 64
"""Texts in a request."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What came of texts that were to be embedded."""

    vectors: npt.NDArray[np.float32]
    """Of those that have one, in their order, `[texts, dimensions]`, each of length 1."""
    failures: Mapping[int, Failure]
    """Why others have none, and will have none, by their numbers."""


def embed(
    server: ModelServer, texts: Sequence[Text], vectors: Vectors, cache: Cache, advance: Advance
) -> dict[str, Failure]:
    """Has the texts embedded that are not among the `vectors`, and gives the failures of others, by key.

    What has no vector while the server answers others is remembered in the `cache`, and given up, as in `complete`.
    Texts go in batches; those of a batch that fails, and those that failed before, go by themselves.

    `advance` is told of every text that is settled. Raises SapwoodError where the server cannot be used. What was
    answered until then is kept.
    """
    keys = {text.key(server): text.text for text in texts}
    missing = {key: text for key, text in keys.items() if vectors.get(key) is None}
    failures = {key: failure for key in missing if (failure := given_up(cache, key)) is not None}
    pending = {key: text for key, text in missing.items() if key not in failures}
    suspects = {key for key in pending if cache.failures(key) == RUNS - 1}
    run = f"{time.time_ns():x}"

    def fail(batch: Mapping[str, str], reason: str, final: str, *, others: bool) -> None:
        for key in batch:
            failures[key] = Failure(reason, final=final)
            if others:
                cache.fail(key, run, reason)
                failures[key] = given_up(cache, key) or failures[key]
        advance(len(batch))

    async def settle(connection: Connection, batch: Mapping[str, str]) -> None:
        body = {"model": server.model, "input": list(batch.values())}
        try:
            answer = await connection.post(Text.path, body, alone=not suspects.isdisjoint(batch))
            for key, vector in zip(batch, vectors_of(answer, len(batch)), strict=True):
                vectors.put(key, vector)
            advance(len(batch))
        except (UnansweredError, ValueError) as error:
            refused = not isinstance(error, UnansweredError) or error.status is not None
            others = isinstance(error, UnansweredError) and error.others
            if len(batch) > 1 and (refused or others):
                for key, text in batch.items():
                    await settle(connection, {key: text})
            else:
                fail(batch, str(error), REFUSED if refused else "", others=others)

    advance(len(texts) - len(pending))
    if pending:
        fresh = [item for item in pending.items() if not cache.failures(item[0])]
        batches = [dict(fresh[start : start + BATCH]) for start in range(0, len(fresh), BATCH)]
        batches += [{key: text} for key, text in pending.items() if cache.failures(key) and key not in suspects]
        alone = [{key: pending[key]} for key in pending if key in suspects]
        answered = next((text for key, text in keys.items() if key not in missing), "yes")
        known = Text.path, Text(answered).body(server)
        answers = len(missing) < len(keys)
        requests = len(batches) + len(alone)
        asyncio.run(for_each(server, batches, settle, requests, answers=answers, known=known, alone=alone))
    return failures


def gather(server: ModelServer, texts: Sequence[Text], vectors: Vectors) -> npt.NDArray[np.float32]:
    """The vectors of the texts that have one, `[texts, dimensions]`, each of length 1."""
    found = [vector for text in texts if (vector := vectors.get(text.key(server))) is not None]
    try:
        return np.stack(found) if found else np.empty((0, 0), np.float32)
    except ValueError:
        raise SapwoodError(
            f"'{server.label}' gave vectors of several lengths: it is not one model. Give it a `revision`."
        ) from None
