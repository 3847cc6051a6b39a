"""Asks a model many things at once, and remembers every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sapwood.errors import SapwoodError
from sapwood.generation.cache import RUNS, Cache, Completion, Request
from sapwood.generation.connection import Connection, for_each
from sapwood.generation.response import UnansweredError
from sapwood.progress import Advance
from sapwood.recipe.server import ModelServer


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no answer. The next run asks again, unless this is `final`."""

    reason: str
    final: str = ""
    """Why it is not asked again, as a phrase that can be counted."""


REFUSED = "refused by the server"
"""Of a request that a server answers with 400, 403 or the like, while it answers others: it would do so again."""
GIVEN_UP = "no answer from the server"
"""Of a request that had none in `RUNS` runs, while others had theirs."""


def complete(
    server: ModelServer, requests: Sequence[Request], cache: Cache, advance: Advance | None = None
) -> list[Completion | Failure]:
    """The answers to the requests, in their order. What the cache has is not asked, and nothing is asked twice.

    How patient it is with the server is said in `connection`; what the server will not do for one request fails alone.
    What had no answer while others were answered is remembered as well, by run, and given up after `RUNS` of them: in
    the last it is asked alone, after all others, and counts only where the server answers a question after it. So no
    request pays for another one that brings the server down, and none for a server that is away.
    `advance` is told of every request that is settled.

    Raises SapwoodError where the server stays away, knows no such model, or refuses the key. What was answered until
    then is in the cache, as it is when the process is interrupted.
    """
    keys = [request.key(server) for request in requests]
    everything = dict(zip(keys, requests, strict=True))
    missing = {key: request for key, request in everything.items() if cache.get(key) is None}
    failures = {key: failure for key in missing if (failure := given_up(cache, key)) is not None}
    pending = {key: request for key, request in missing.items() if key not in failures}
    suspects = {key for key in pending if cache.failures(key) == RUNS - 1}
    run = f"{time.time_ns():x}"

    async def settle(connection: Connection, item: tuple[str, Request]) -> None:
        key, request = item
        try:
            body = await connection.post(Request.path, request.body(server), alone=key in suspects)
            cache.put(key, Completion.from_body(body))
        except UnansweredError as error:
            failures[key] = Failure(str(error), final="" if error.status is None else REFUSED)
            if error.others:
                cache.fail(key, run, str(error))
                failures[key] = given_up(cache, key) or failures[key]
        except ValueError as error:
            failures[key] = Failure(str(error), final=REFUSED)
        if advance is not None:
            advance(1)

    if advance is not None and len(pending) < len(keys):
        advance(len(keys) - len(pending))
    if pending:
        together = [item for item in pending.items() if item[0] not in suspects]
        alone = [item for item in pending.items() if item[0] in suspects]
        answers = len(missing) < len(everything)
        answered = (request for key, request in everything.items() if key not in missing)
        known = next(((Request.path, request.body(server)) for request in answered), None)
        asyncio.run(for_each(server, together, settle, len(pending), answers=answers, known=known, alone=alone))
    if len(failures) == len(everything) > 2 and all(failure.final == REFUSED for failure in failures.values()):
        reason = next(iter(failures.values())).reason
        raise SapwoodError(
            f"{server.url} gave none of {len(failures):,} requests an answer that can be used ({reason})."
        )
    return [failures.get(key) or _given(cache, key) for key in keys]


def given_up(cache: Cache, key: str) -> Failure | None:
    """The failure of a request that is not asked any more."""
    reason = cache.given_up(key)
    return None if reason is None else Failure(reason, final=GIVEN_UP)


def _given(cache: Cache, key: str) -> Completion:
    found = cache.get(key)
    assert found is not None  # it was read, or written, above
    return found
