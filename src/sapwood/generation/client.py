"""Asks a model many things at once, and remembers every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.connection import Connection, for_each
from sapwood.generation.response import UnansweredError
from sapwood.progress import Advance
from sapwood.recipe.server import ModelServer


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no answer. It is not remembered: the next run asks again."""

    reason: str
    refused: bool = False
    """Whether the server refuses this request, and would again, while it answers others."""


def complete(
    server: ModelServer, requests: Sequence[Request], cache: Cache, advance: Advance | None = None
) -> list[Completion | Failure]:
    """The answers to the requests, in their order. What the cache has is not asked, and nothing is asked twice.

    How patient it is with the server is said in `connection`; what the server will not do for one request fails alone.
    `advance` is told of every request that is settled.

    Raises SapwoodError where the server stays away, knows no such model, or refuses the key. What was answered until
    then is in the cache, as it is when the process is interrupted.
    """
    keys = [request.key(server) for request in requests]
    pending = {key: request for key, request in zip(keys, requests, strict=True) if cache.get(key) is None}
    failures: dict[str, Failure] = {}

    async def settle(connection: Connection, item: tuple[str, Request]) -> None:
        key, request = item
        try:
            cache.put(key, Completion.from_body(await connection.post(Request.path, request.body(server))))
        except UnansweredError as error:
            failures[key] = Failure(str(error), refused=error.status is not None)
        except ValueError as error:
            failures[key] = Failure(str(error), refused=True)
        if advance is not None:
            advance(1)

    if advance is not None and len(pending) < len(keys):
        advance(len(keys) - len(pending))
    if pending:
        answers = len(pending) < len(requests)
        asyncio.run(for_each(server, pending.items(), settle, len(pending), answers=answers))
    if len(failures) == len(set(keys)) > 2 and all(failure.refused for failure in failures.values()):
        reason = next(iter(failures.values())).reason
        raise SapwoodError(
            f"{server.url} gave none of {len(failures):,} requests an answer that can be used ({reason})."
        )
    return [failures.get(key) or _given(cache, key) for key in keys]


def _given(cache: Cache, key: str) -> Completion:
    found = cache.get(key)
    assert found is not None  # it was read, or written, above
    return found
