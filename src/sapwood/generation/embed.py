"""Texts in, vectors out, from a server of embeddings; nothing is asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.generation.client import Failure
from sapwood.generation.connection import Connection, for_each
from sapwood.generation.response import UnansweredError
from sapwood.generation.vectors import Text, Vectors, vectors_of
from sapwood.progress import Advance
from sapwood.recipe.server import ModelServer

BATCH = 64
"""Texts in a request."""


def embed(server: ModelServer, texts: Sequence[Text], vectors: Vectors, advance: Advance) -> Failure | None:
    """Has the texts embedded that are not among the `vectors`, and gives the first failure, if there is one.

    `advance` is told of every text that is settled. Raises SapwoodError where the server cannot be used. What was
    answered until then is kept.
    """
    keys = {text.key(server): text.text for text in texts}
    pending = [(key, text) for key, text in keys.items() if vectors.get(key) is None]
    failures: list[Failure] = []

    async def settle(connection: Connection, batch: Mapping[str, str]) -> None:
        try:
            body = await connection.post(Text.path, {"model": server.model, "input": list(batch.values())})
            for key, vector in zip(batch, vectors_of(body, len(batch)), strict=True):
                vectors.put(key, vector)
        except (UnansweredError, ValueError) as error:
            failures.append(Failure(str(error)))
        advance(len(batch))

    advance(len(texts) - len(pending))
    if pending:
        batches = (dict(pending[start : start + BATCH]) for start in range(0, len(pending), BATCH))
        asyncio.run(for_each(server, batches, settle, -(-len(pending) // BATCH), answers=len(pending) < len(keys)))
    return failures[0] if failures else None


def gather(server: ModelServer, texts: Sequence[Text], vectors: Vectors) -> npt.NDArray[np.float32]:
    """The vectors of texts that are all embedded, `[texts, dimensions]`, each of length 1."""
    found = [vectors.get(text.key(server)) for text in texts]
    try:
        return np.stack([vector for vector in found if vector is not None]) if texts else np.empty((0, 0), np.float32)
    except ValueError:
        raise SapwoodError(
            f"'{server.label}' gave vectors of several lengths: it is not one model. Give it a `revision`."
        ) from None
