"""The key of a server: read from the environment, sent in a header, and seen nowhere else."""

from __future__ import annotations

import base64
import html
import os
import re
from typing import Any, Self
from urllib.parse import quote, unquote

from sapwood.errors import SapwoodError
from sapwood.recipe.server import ModelServer

SHORTEST = 8
"""Characters. Servers that want none are often given a key such as EMPTY, which is a word like any other."""


class Secret:
    """A key, or none."""

    def __init__(self, key: str) -> None:
        self._key = key
        if len(key) < SHORTEST:
            self._spellings: tuple[str, ...] = ()
            return
        encoded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in (key, f"Bearer {key}")]
        spellings = {key, quote(key, safe=""), key.encode().hex(), *encoded}
        self._spellings = tuple(sorted(spellings, key=len, reverse=True))

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

    @classmethod
    def known(cls, server: ModelServer) -> Self:
        """The server's, as far as the environment has it: of one that is not asked, and may be quoted by another."""
        return cls(os.environ.get(server.key or "", "").strip())

    @property
    def headers(self) -> dict[str, str]:
        """What proves the right to ask."""
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def hide(self, said: Any) -> Any:
        """What a server said, with stars for the key, should it be in there: a text, or JSON that was decoded.

        JSON is hidden in after it is decoded, since `\\u0073` and `s` are the same letter there. A text that holds the
        key only once such escapes are resolved is hidden whole.
        """
        if not self._spellings:
            return said
        if isinstance(said, str):
            return self._hidden(said)
        if isinstance(said, dict):
            return {self.hide(name): self.hide(value) for name, value in said.items()}
        return [self.hide(value) for value in said] if isinstance(said, list) else said

    def _hidden(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        resolved = text
        for _ in range(_DEPTH):
            resolved = unquote(html.unescape(_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), resolved)))
            resolved = resolved.replace("\\/", "/").replace('\\"', '"')
        return "***" if any(spelling in resolved for spelling in self._spellings) else text


_DEPTH = 3
"""How often what is escaped may be escaped again."""
_ESCAPE = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
