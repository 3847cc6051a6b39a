"""datatrove's inference runner: starts a server, asks it many things at once, and ends it.

Of the runner only the servers and the asking are used. It would write documents through aiofiles, drop those that it
cannot write, and remember answers in a database; here each answer is a line of a batch result, written as it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.inference.servers import InferenceServer
from datatrove.pipeline.inference.types import InferenceError, InferenceResult, ServerError
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils._import_utils import check_required_dependencies
from loguru import logger

from sapwood.errors import SapwoodError
from sapwood.generation.cache import Request
from sapwood.generation.connection import Connection
from sapwood.generation.lines import Lines
from sapwood.recipe.fleet import Fleet
from sapwood.recipe.server import ModelServer


def answer(
    requests: Sequence[Document], server: ModelServer, fleet: Fleet, results: Lines, where: Path, rank: int
) -> None:
    """Has requests (lines of a batch file) answered, and appends the results.

    What a server will not do for one request is a result too. Raises SapwoodError where there is no server to ask.
    """

    async def ask(request: Document, generate: Any) -> None:
        try:
            said = await generate(orjson.loads(request.text)["body"])
        except InferenceError as error:
            if isinstance(error.__cause__, SapwoodError):
                raise error.__cause__ from None
            results.put(request.id, _result(request.id, None, str(error.error)))
        else:
            results.put(request.id, _result(request.id, said))

    logger.disable("datatrove")  # it says of all documents that they were not written
    runner = _Runner(ask, _config(server, fleet, where / "logs" / "servers"), JsonlWriter(str(where / "documents")))
    runner.asked = server
    try:
        runner.run(requests, rank)
    except InferenceError as error:
        raise error.__cause__ or error from None
    except ServerError as error:
        raise SapwoodError(
            f"The server of '{fleet.weights or server.model}' does not work: {error}. What it said is in "
            f"{where / 'logs' / 'servers'}; what it answered is kept, and the same command continues."
        ) from None
    except ImportError as error:
        raise SapwoodError(f"{error} It must be there where the tasks run.") from None


def _config(server: ModelServer, fleet: Fleet, logs: Path) -> InferenceConfig:
    # datatrove starts vLLM with --trust-remote-code; the last word counts.
    safe = {"trust-remote-code": False} if fleet.serve == "vllm" else {}
    return InferenceConfig(
        server_type=fleet.serve,
        model_name_or_path=server.model if fleet.serve == "endpoint" else fleet.weights or server.model,
        model_max_context=fleet.context,
        tp=fleet.tensor_parallel,
        max_concurrent_generations=server.parallel,
        model_kwargs={**safe, **fleet.options},
        server_log_folder=str(logs),
    )


def _result(key: str, said: InferenceResult | None, reason: str = "") -> dict[str, Any]:
    """A line of a batch service's results."""
    if said is None:
        # Each try is another line, or all of them would count as one.
        return {"id": f"{time.time_ns():x}", "custom_id": key, "response": None, "error": {"message": reason}}
    message = {"message": {"role": "assistant", "content": said.text}, "finish_reason": said.finish_reason}
    body = {"choices": [message], "usage": said.usage}
    return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


class _Runner(InferenceRunner):  # type: ignore[misc]
    asked: ModelServer

    def _init_server(self, rank: int) -> InferenceServer:
        if self.config.server_type == "endpoint":
            return _Running(self.config, rank, self.asked)
        check_required_dependencies("the fleet", ["httpx"])  # without it datatrove waits for a server in vain
        return super()._init_server(rank)


class _Running(InferenceServer):  # type: ignore[misc]
    """A server that is there already, asked as all servers are: with its key, its limits, and patience.

    datatrove's own of this kind sends no key, or needs OpenAI's client.
    """

    def __init__(self, config: InferenceConfig, rank: int, server: ModelServer) -> None:
        super().__init__(config, rank)
        self._asked = server
        self._connection: Connection | None = None

    async def start_server(self) -> None:
        self._connection = await Connection(self._asked).__aenter__()

    async def monitor_health(self) -> None:
        await asyncio.Event().wait()

    async def is_ready(self) -> bool:
        return True

    async def server_cleanup(self) -> None:
        await super().server_cleanup()
        if self._connection is not None:
            await self._connection.__aexit__()
            self._connection = None

    async def _make_request(self, payload: dict[str, Any]) -> dict[str, Any]:
        assert self._connection is not None  # nothing is sent before it is ready
        return await self._connection.post(Request.path, payload)
