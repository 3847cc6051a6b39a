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
from sapwood.generation.secret import Secret
from sapwood.recipe.server import ModelServer

_READ_BYTES = 1 << 16
BUSY = (429, 503)
"""Of a server that takes no request at all."""
_AGAIN = (408, 409, 425)
_ABOUT_SCHEMAS = re.compile(r"response_?format|json_?\s?schema|structured|guided|grammar", re.IGNORECASE)


class UnansweredError(Exception):
    """Why one request has no answer, though the server answers others."""

    def __init__(self, reason: str, *, status: int | None = None, others: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        """Of a request that the server refuses, and would refuse again."""
        self.others = others
        """Whether the server was seen to answer something else meanwhile, so that it is not the server that is away."""


class RefusedError(Exception):
    """A try that failed, and why. There may be another."""

    def __init__(self, reason: str, *, tries: int = 1, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.tries = tries
        """What it costs; 0 where the server took no request at all."""
        self.wait = wait
        """How long the server asks to be left alone, in seconds."""


def read_response(
    server: ModelServer,
    path: str,
    status: int,
    headers: Mapping[str, str],
    said: bytes,
    *,
    structured: bool,
    secret: Secret,
) -> dict[str, Any]:
    """The JSON object that a server answered at `path`, without the `secret`.

    `structured` says whether a JSON schema was sent along.

    Raises RefusedError where it may be asked again, UnansweredError where it will not do this, and SapwoodError where
    it will not do anything.
    """
    if 200 <= status < 300:
        return _object(said, secret)
    reason = f"status {status}: {_words(said, secret)}"
    if status in BUSY or status in _AGAIN or status >= 500:
        raise RefusedError(reason, tries=0 if status in BUSY else 1, wait=_asked_wait(headers))
    if status == 401:
        raise refuses_all(server, path, status, reason)
    if 300 <= status < 400:
        raise SapwoodError(f"{server.url} leads on to another address (status {status}). Write that one as `url`.")
    if structured and status in (400, 422):
        if _ABOUT_SCHEMAS.search(reason):
            raise SapwoodError(f"{server.url} cannot follow JSON schemas ({reason}). Leave `structured` off.")
        reason += " (if all requests end so, leave `structured` off)"
    raise UnansweredError(reason, status=status)


def refuses_all(server: ModelServer, path: str, status: int, reason: str) -> SapwoodError:
    """What to say of a server that refuses every request in the same way."""
    if status in (401, 403):
        return SapwoodError(
            f"{server.url} refuses the key (status {status}). Name the environment variable that holds it as `key:` "
            "beside `url:`."
        )
    if status == 404:
        return SapwoodError(
            f"{server.url} has no {path} of '{server.model}' ({reason}). `url` is the root of the interface, such as "
            "http://localhost:8000/v1, and `model` the name by which that server knows the model."
        )
    return SapwoodError(f"{server.url} refuses every request ({reason}), and has answered none.")


def _object(said: bytes, secret: Secret) -> dict[str, Any]:
    try:
        content = orjson.loads(said)
    except ValueError:
        raise RefusedError(f"an answer that is not JSON: {_words(said, secret)}") from None
    if not isinstance(content, dict):
        raise UnansweredError("an answer in another form than OpenAI's: no JSON object")
    if content.get("error") and not (content.get("choices") or content.get("data")):
        raise RefusedError(f"an error for an answer: {_words(said, secret)}")
    hidden: dict[str, Any] = secret.hide(content)
    return hidden


def _words(said: bytes, secret: Secret) -> str:
    """The beginning of what a server has to say."""
    text = said[:_READ_BYTES].decode(errors="replace")
    with suppress(ValueError, AttributeError):
        content = orjson.loads(said)
        error = content.get("error") or content
        text = str(error.get("message") or text) if isinstance(error, dict) else str(error)
    return " ".join(str(secret.hide(text)).split())[:200]


def _asked_wait(headers: Mapping[str, str]) -> float:
    """`Retry-After`, in seconds; it may be a date. What is neither asks for nothing."""
    value = headers.get("Retry-After", "").strip()
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        if re.fullmatch(r"[0-9.]{1,20}(?:[eE]\+?[0-9]{1,2})?", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0
