"""The key of a server: read from the environment, sent in a header, and seen nowhere else."""

from __future__ import annotations

import json
import os
from typing import Self

from sapwood.errors import SapwoodError
from sapwood.recipe.server import ModelServer

SHORTEST = 8
"""Characters. Servers that want none are often given a key such as EMPTY, which is a word like any other."""


class Secret:
    """A key, or none."""

    def __init__(self, key: str) -> None:
        self._key = key
        plain = json.dumps(key)[1:-1]
        self._spellings = {text.encode() for text in (key, plain, plain.replace("/", "\\/")) if len(key) >= SHORTEST}

    @classmethod
    def of(cls, server: ModelServer) -> Self:
        """The server's. Raises SapwoodError where the environment has none, or one that no header can hold."""
        if server.key is None:
            return cls("")
        key = os.environ.get(server.key, "").strip()
        if not key:
            raise SapwoodError(f"The environment variable {server.key} with the key for {server.url} is not set.")
        if not (key.isascii() and key.isprintable()):
            raise SapwoodError(f"The environment variable {server.key} holds no key, but something else than ASCII.")
        return cls(key)

    @property
    def headers(self) -> dict[str, str]:
        """What proves the right to ask."""
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def hide(self, said: bytes) -> bytes:
        """What a server said, with stars for the key, should it be in there."""
        for spelling in self._spellings:
            said = said.replace(spelling, b"***")
        return said
