"""Texts that are embedded, and the vectors that were given for them before."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from sapwood.generation.lines import Lines
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
