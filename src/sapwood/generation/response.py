"""What the response of a server means: an answer, another try, or the end."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from sapwood.errors import SapwoodError
from sapwood.recipe.server import ModelServer

_BUSY = (429, 503)
_AGAIN = (408, 409, 425)
_ABOUT_SCHEMAS = re.compile(r"response_?format|json_?\s?schema|structured|guided|grammar", re.IGNORECASE)


class UnansweredError(Exception):
    """Why one request has no answer, though the server answers others."""


class RefusedError(Exception):
    """A try that failed, and why. There may be another."""

    def __init__(self, reason: str, *, tries: int = 1, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.tries = tries
        """What it costs; 0 where the server took no request at all."""
        self.wait = wait
        """How long the server asks to be left alone, in seconds."""


def read_response(
    server: ModelServer, path: str, status: int, headers: Mapping[str, str], said: bytes, *, structured: bool, new: bool
) -> dict[str, Any]:
    """The JSON object that a server answered at `path`.

    `structured` says whether a JSON schema was sent along, and `new` whether the server has answered nothing yet.

    Raises RefusedError where it may be asked again, UnansweredError where it will not do this, and SapwoodError where
    it will not do anything.
    """
    if 200 <= status < 300:
        return _object(said)
    reason = f"status {status}: {_words(said)}"
    if status in _BUSY or status in _AGAIN or status >= 500:
        raise RefusedError(reason, tries=0 if status in _BUSY else 1, wait=_asked_wait(headers))
    if status == 401 or (status == 403 and new):  # later, 403 is what some providers say to a single text
        raise SapwoodError(
            f"{server.url} refuses the key (status {status}). Name the environment variable that holds it as `key:` "
            "beside `url:`."
        )
    if status == 404:
        raise SapwoodError(
            f"{server.url} has no {path} of '{server.model}' ({reason}). `url` is the root of the interface, such as "
            "http://localhost:8000/v1, and `model` the name by which that server knows the model."
        )
    if 300 <= status < 400:
        raise SapwoodError(f"{server.url} leads on to another address (status {status}). Write that one as `url`.")
    if structured and status in (400, 422):
        if _ABOUT_SCHEMAS.search(reason):
            raise SapwoodError(f"{server.url} cannot follow JSON schemas ({reason}). Leave `structured` off.")
        reason += " (if all requests end so, leave `structured` off)"
    raise UnansweredError(reason)


def _object(said: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(said)
    except ValueError:
        raise RefusedError(f"an answer that is not JSON: {_words(said)}") from None
    if not isinstance(content, dict):
        raise UnansweredError("an answer in another form than OpenAI's: no JSON object")
    return content


def _words(said: bytes) -> str:
    """The beginning of what a server has to say."""
    text = said.decode(errors="replace")
    with suppress(ValueError, AttributeError):
        content = orjson.loads(said)
        error = content.get("error") or content
        text = str(error.get("message") or text) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:200]


def _asked_wait(headers: Mapping[str, str]) -> float:
    """`Retry-After`, in seconds; it may be a date."""
    value = headers.get("Retry-After", "").strip()
    with suppress(ValueError):
        if re.fullmatch(r"[0-9.]+", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0
