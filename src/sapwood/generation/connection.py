"""The one way in which anything is asked of a server: with patience, within its limits, and never for ever."""

from __future__ import annotations

import asyncio
import random
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from sapwood.errors import SapwoodError
from sapwood.generation.response import RefusedError, UnansweredError, read_response, refuses_all
from sapwood.generation.secret import Secret
from sapwood.recipe.server import ModelServer


class Bucket:
    """Fills steadily, up to a second's worth; what is taken may leave a debt, which later takers wait out.

    So no minute sees more than the limit, a second's worth (one, if that is less) and one amount taken. Times are in
    seconds, on any clock.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate)
        self._level = self._most
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """How long until so much may be taken, in seconds."""
        self._fill(now)
        return max(0.0, (min(amount, self._most) - self._level) / self._rate)

    def take(self, amount: float, now: float) -> None:
        """Takes it; a negative amount puts back what was taken and turned out not to be needed."""
        self._fill(now)
        self._level = min(self._most, self._level - amount)

    def _fill(self, now: float) -> None:
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now


TRIES = 6
"""How often a request is sent before it counts as failed. A try that took too long counts as three."""
FIRST_WAIT_SECONDS = 1.0
"""The wait after the first failure. It doubles with every further one, and is up to half longer or shorter."""
LONGEST_WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 600.0
"""How long a server may be away, or take no requests."""
FIRST_PATIENCE_SECONDS = 30.0
"""The same of a server that was never reached."""
CONNECT_SECONDS = 30.0
STAGGER_SECONDS = 0.001
"""Between the first requests."""
REFUSALS = 16
"""Of so many requests, or of all where they are fewer, that a server refuses before it has answered any, the next ones
are not sent; and of so many in a row that were tried in vain, with nothing else answered meanwhile."""
QUESTION = "Answer with the word yes."
"""Asked when a prompt has no answer and no other was answered meanwhile: is it the prompt, or the server? Only where no
prompt is known that was answered before; it is the better question."""
QUESTION_SECONDS = 30.0
"""How long that may take."""
LARGEST_RESPONSE = 64 * 2**20
"""Bytes. What is longer has no end."""

_BYTES_PER_TOKEN = 3  # rather too few: English has four, Chinese three
_T = TypeVar("_T")


class Connection:
    """A server that is being asked; an asynchronous context.

    Raises SapwoodError where the environment lacks the server's key.
    """

    def __init__(
        self,
        server: ModelServer,
        requests: int = 1,
        *,
        answers: bool = False,
        known: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """`requests` are going to be sent. `answers` says that the server has answered others before. `known` is the
        path and the body of one that it has answered, or can."""
        self.server = server
        self._most_refusals = min(REFUSALS, requests)
        self._refusals = 0
        self._failures = 0
        self._asked = 0
        self._answers = answers
        self._secret = Secret.of(server)
        now = monotonic()
        self._requests = Bucket(server.requests_per_minute, now) if server.requests_per_minute else None
        self._tokens = Bucket(server.tokens_per_minute, now) if server.tokens_per_minute else None
        self._queue = asyncio.Lock()
        self._quiet_until = now
        self._reached = False
        self._answered: float | None = None
        self._silent: float | None = None
        self._questions = asyncio.Lock()
        asked = [{"role": "user", "content": QUESTION}]
        every = "chat/completions", {"model": server.model, "messages": asked, "max_tokens": 16}
        self._question: tuple[str, Mapping[str, Any]] = known or every

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **self._secret.headers},
            # Servers built on uvicorn, vLLM among them, close a connection that is idle for five seconds.
            connector=aiohttp.TCPConnector(limit=self.server.parallel, keepalive_timeout=4),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
            proxy=_proxy(self.server.url),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: Mapping[str, Any], *, alone: bool = False) -> dict[str, Any]:
        """What the server answers at `path`, below its root.

        Lost connections, errors of the server and answers cut short are tried again, a little later each time. A
        server that is away, or takes no more requests, is waited for. `alone` says that nothing else is asked
        meanwhile: the server is not busy with others then, and counts as answering them only if it does afterwards.

        Raises UnansweredError for what the server will not do for this request, and SapwoodError for what it will not
        do for any: it stays away, knows no such model, refuses the key, or cannot follow a schema.
        """
        self._asked += 1
        try:
            return await self._post(path, body, alone=alone)
        finally:
            self._asked -= 1

    async def _post(self, path: str, body: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
        content = orjson.dumps(body)
        tokens = len(content) / _BYTES_PER_TOKEN + body.get("max_tokens", 0)
        begun = monotonic()
        tries = waits = 0
        while True:
            await self._turn(tokens)
            try:
                answer = await self._send(path, content, structured="response_format" in body)
            except UnansweredError as error:
                self._count_refusal(path, error)
                if error.status is None:
                    error.others = await self._answers_others(None if alone else begun)
                raise
            except RefusedError as refusal:
                tries += max(refusal.tries, alone and self._reached)
                reason = str(refusal)
                if refusal.wait > PATIENCE_SECONDS:
                    reason += f" (to be asked again in {refusal.wait:.0f} seconds)"
                if tries < TRIES and not refusal.tries:
                    await self._keep_patience(begun, refusal)
                if tries >= TRIES or refusal.wait > PATIENCE_SECONDS:
                    others = await self._answers_others(None if alone else begun)
                    if not others:
                        self._count_failure(reason)
                    raise UnansweredError(reason, others=others) from None
                self._quiet_until = max(self._quiet_until, monotonic() + refusal.wait)
                await sleep(_about(min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**waits)))
                waits = min(waits + 1, 16)
            else:
                self._answered = monotonic()
                self._failures = 0
                self._question = path, body
                if self._tokens is not None:
                    # No token is shorter than a byte, and none is written beyond the limit.
                    most = len(content) + body.get("max_tokens", 0)
                    self._tokens.take(_tokens_used(answer, tokens, most) - tokens, self._answered)
                return answer

    async def _turn(self, tokens: float) -> None:
        """Waits until another request may be sent."""
        while (wait := self._quiet_until - monotonic()) > 0:
            await sleep(wait + _about(FIRST_WAIT_SECONDS))  # not all at the same moment
        amounts = [(bucket, amount) for bucket, amount in ((self._requests, 1), (self._tokens, tokens)) if bucket]
        if amounts:
            async with self._queue:  # first come, first served
                for bucket, amount in amounts:
                    while (wait := bucket.wait(amount, monotonic())) > 0:
                        await sleep(min(wait, 1.0))  # something may be put back meanwhile
                    bucket.take(amount, monotonic())

    def _count_refusal(self, path: str, error: UnansweredError) -> None:
        """Gives up the server where it refuses everything: a wrong key, a model that it does not know."""
        if error.status is None or self._answered is not None or self._answers:
            return
        self._refusals += 1
        if error.status in (403, 404):  # a key or a model, likelier than a text
            enough = self._refusals >= min(self._most_refusals, self.server.parallel)
        else:
            enough = self._refusals >= max(3, self._most_refusals)
        if enough:
            raise refuses_all(self.server, path, error.status, str(error)) from None

    def _count_failure(self, reason: str) -> None:
        """Gives up the server where so many requests in a row had no answer, nor anything else meanwhile."""
        self._failures += 1
        if self._failures >= REFUSALS:
            raise SapwoodError(
                f"{self.server.url} answers nothing ({reason}). Is the server in order? What it has answered is kept; "
                "the same command continues."
            ) from None

    async def _answers_others(self, since: float | None) -> bool:
        """Whether the server has answered something since then, or now answers what it, or every model, can."""
        since = monotonic() if since is None else since
        async with self._questions:
            if self._answered is not None and self._answered > since:
                return True
            if self._silent is not None and self._silent > since:
                return False
            path, body = self._question
            if "temperature" in body:  # or else a cache between here and the model could answer in its place
                body = {**body, "temperature": 0.5 + random.random() / 2}
            try:
                async with asyncio.timeout(QUESTION_SECONDS):
                    await self._send(path, orjson.dumps(body), structured=False)
            except (RefusedError, UnansweredError, SapwoodError, TimeoutError):
                self._silent = monotonic()
                return False
            self._answered = monotonic()
            return True

    async def _keep_patience(self, begun: float, refusal: RefusedError) -> None:
        """Gives up: the server when it has answered nothing for too long, and the request when it answered others."""
        now = monotonic()
        patience = PATIENCE_SECONDS if self._reached else FIRST_PATIENCE_SECONDS
        asks_too_much = refusal.wait > PATIENCE_SECONDS and self._answered is None
        if now - max(begun, self._answered or begun) >= patience or asks_too_much:
            # Where all requests under way are refused it is the server, whatever it says to a prompt that it knows.
            if self._asked < max(2, self.server.parallel) and await self._answers_others(now):
                raise UnansweredError(str(refusal), others=True)
            state = "takes no requests" if self._reached else "cannot be reached"
            raise SapwoodError(
                f"{self.server.url} {state} ({refusal}). Is the server running? What it has answered is kept; the same "
                "command continues."
            )
        if now - begun >= PATIENCE_SECONDS:
            raise UnansweredError(str(refusal), others=await self._answers_others(begun))

    async def _send(self, path: str, content: bytes, *, structured: bool) -> dict[str, Any]:
        url = f"{self.server.url.rstrip('/')}/{path}"
        try:
            async with (
                asyncio.timeout(self.server.timeout.amount),
                self._session.post(url, data=content, allow_redirects=False) as found,
            ):
                self._reached = True
                said = await _whole(found)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise RefusedError(self._secret.hide(f"{type(error).__name__}: {error}"), tries=0) from None
        except TimeoutError:
            raise RefusedError(f"Timeout: no whole answer within {self.server.timeout}", tries=TRIES // 2) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise SapwoodError(f"'{self.server.url}' is no address such as http://localhost:8000/v1.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said_so = " ".join(self._secret.hide(f"{type(error).__name__}: {error}").split())
            raise RefusedError(f"connection lost: {said_so[:300]}") from None
        return read_response(
            self.server, path, found.status, found.headers, said, structured=structured, secret=self._secret
        )


async def for_each(
    server: ModelServer,
    items: Iterable[_T],
    settle: Callable[[Connection, _T], Awaitable[None]],
    requests: int,
    *,
    answers: bool = False,
    known: tuple[str, Mapping[str, Any]] | None = None,
    alone: Iterable[_T] = (),
) -> None:
    """Settles all items over one connection, as many at once as the server allows. Raises the first error of any.

    `requests`, `answers` and `known` are those of `Connection`. The items of `alone` come last, one after the other.

    Items are taken when there is room for them: a generator of millions costs nothing.
    """
    waiting = iter(items)

    async def work(number: int) -> None:
        # What starts together stays together: a bunch that is sent at once comes back at once, and waits for itself.
        await asyncio.sleep(number * STAGGER_SECONDS)
        for item in waiting:
            await settle(connection, item)

    async with Connection(server, requests, answers=answers, known=known) as connection:
        workers = [asyncio.create_task(work(number)) for number in range(server.parallel)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for item in alone:
            await settle(connection, item)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_RESPONSE:
            raise UnansweredError(f"an answer of more than {LARGEST_RESPONSE >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _proxy(url: str) -> str | None:
    """What the environment says (`https_proxy`, `no_proxy` …). aiohttp would look it up for every request."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _about(seconds: float) -> float:
    return seconds * (0.5 + random.random())


def _tokens_used(answer: Mapping[str, Any], otherwise: float, most: float) -> float:
    usage = answer.get("usage")
    used = usage.get("total_tokens") if isinstance(usage, dict) else None
    return used if isinstance(used, int) and 0 < used <= most else otherwise
