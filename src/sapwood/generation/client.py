"""Asks a server many things at once, with patience, and remembers every answer."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from sapwood.errors import SapwoodError
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.progress import Advance
from sapwood.recipe.server import ModelServer

TRIES = 6
"""How often a request is sent before it counts as failed."""
FIRST_WAIT_SECONDS = 1.0
"""The wait after the first failure; it doubles with every further one."""
LONGEST_WAIT_SECONDS = 60.0

_AGAIN = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no answer. It is not remembered: the next run asks again."""

    reason: str


def complete(
    server: ModelServer, requests: Sequence[Request], cache: Cache, advance: Advance | None = None
) -> list[Completion | Failure]:
    """The answers to the requests, in their order; those that the cache has are not asked for.

    Too many requests, errors of the server and lost connections are tried again, a little later each time; what the
    server will not do for one request fails alone. `advance` is told of every request that is settled.

    Raises SapwoodError where the server cannot be reached, knows no such model, or refuses the key.
    """
    return asyncio.run(_complete(server, requests, cache, advance))


def _headers(server: ModelServer) -> dict[str, str]:
    if server.key is None:
        return {}
    key = os.environ.get(server.key)
    if not key:
        raise SapwoodError(f"The environment variable {server.key} with the key for {server.url} is not set.")
    return {"Authorization": f"Bearer {key}"}


async def _complete(
    server: ModelServer, requests: Sequence[Request], cache: Cache, advance: Advance | None
) -> list[Completion | Failure]:
    slots = asyncio.Semaphore(server.parallel)
    headers = _headers(server)
    limits = httpx.Limits(max_connections=server.parallel)
    async with httpx.AsyncClient(headers=headers, timeout=server.timeout.amount, limits=limits) as client:

        async def settle(request: Request) -> Completion | Failure:
            key = request.key(server)
            found: Completion | Failure | None = cache.get(key)
            if found is None:
                async with slots:
                    found = await _ask(client, server, request)
                if isinstance(found, Completion):
                    cache.put(key, found)
            if advance is not None:
                advance(1)
            return found

        tasks = [asyncio.create_task(settle(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()


async def _ask(client: httpx.AsyncClient, server: ModelServer, request: Request) -> Completion | Failure:
    body = {
        "model": server.model,
        "messages": list(request.messages),
        **request.parameters(),
    }
    trouble = ""
    for attempt in range(TRIES):
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt) * (0.5 + random.random())
        try:
            response = await client.post(f"{server.url.rstrip('/')}/chat/completions", json=body)
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__}: {error}"
            reached = not isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol)
        else:
            reached = True
            if response.status_code in (401, 403):
                raise SapwoodError(
                    f"{server.url} refuses the key (status {response.status_code}). Name the environment variable that "
                    "holds it as `key:` beside `url:`."
                )
            if response.status_code == 404:
                raise SapwoodError(
                    f"{server.url} knows no chat completions of '{server.model}' (status 404): {_said(response)}"
                )
            if response.is_success:
                return _read(response)
            trouble = f"status {response.status_code}: {_said(response)}"
            if response.status_code not in _AGAIN and response.status_code < 500:
                return Failure(trouble)
            wait = max(wait, _asked_wait(response))
        if attempt + 1 < TRIES:
            await asyncio.sleep(wait)
    if not reached:
        raise SapwoodError(f"{server.url} cannot be reached ({trouble}). Is the server running?")
    return Failure(trouble)


def _read(response: httpx.Response) -> Completion | Failure:
    try:
        content = response.json()
        choice = content["choices"][0]
        usage = content.get("usage") or {}
        return Completion(
            text=str(choice["message"]["content"] or ""),
            finish_reason=str(choice.get("finish_reason") or ""),
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Failure(f"an answer in another form than OpenAI's ({type(error).__name__}): {_said(response)}")


def _asked_wait(response: httpx.Response) -> float:
    try:
        return min(LONGEST_WAIT_SECONDS, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _said(response: httpx.Response) -> str:
    """The beginning of what a server said; keys are sent in a header, and never come back."""
    content: Any = response.text
    return " ".join(content.split())[:200]
