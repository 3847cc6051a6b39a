"""What texts mean, as directions, from a server of embeddings. They are not kept: every run asks for them anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.generation.connection import Connection, for_each
from sapwood.generation.response import UnansweredError
from sapwood.recipe.server import ModelServer

BATCH = 64
"""Texts in a request."""


def embed(server: ModelServer, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """The embeddings of the texts, `[texts, dimensions]`, each of length 1.

    Raises SapwoodError where the server cannot be used, or does not answer one of the requests.
    """
    found: dict[int, npt.NDArray[np.float32]] = {}

    async def settle(connection: Connection, start: int) -> None:
        body = {"model": server.model, "input": list(texts[start : start + BATCH])}
        try:
            answer = await connection.post("embeddings", body)
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], np.float32)
            if vectors.shape[:1] != (len(body["input"]),) or vectors.ndim != 2:
                raise ValueError("not one embedding for each text")
        except (UnansweredError, ValueError, KeyError, TypeError) as error:
            raise SapwoodError(f"{server.url} gives no embeddings of '{server.model}': {error}") from None
        found[start] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    if texts:
        asyncio.run(for_each(server, range(0, len(texts), BATCH), settle))
    return np.concatenate([found[start] for start in sorted(found)]) if found else np.empty((0, 0), np.float32)
