"""Requests that wait are answered by servers that the engine starts: datatrove's inference runner, on batch files.

JOB/fleet/MODEL/requests/*.jsonl    what is asked, in OpenAI's batch form
               /results/00003.jsonl what task 3 has answered, in the same form, appended as it comes
               /logs/               of the tasks, and under `servers` of the servers

A round is continued as long as all that it asks is still awaited, whoever was killed, and removed when it is read.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import orjson
from datatrove.data import Document

from sapwood.corpus.block import Block
from sapwood.corpus.engine import run
from sapwood.errors import SapwoodError
from sapwood.generation.asker import Asker, write_batch
from sapwood.generation.lines import Lines
from sapwood.recipe import Synthesis
from sapwood.recipe.fleet import Fleet
from sapwood.recipe.server import ModelServer
from sapwood.synthesis.directory import JobDirectory


def answer_awaited(job: Synthesis, asker: Asker, directory: JobDirectory) -> None:
    """Has all that waits answered by the job's fleets, and takes the answers in.

    Raises SapwoodError where an engine or a server cannot be used, or none of a model's requests is answered.
    """
    for server, requests in asker.take_awaited():
        where = directory.fleet(server)
        left = {key for key, _ in _requests(where)}
        if left and not left <= {request.key(server) for request in requests}:
            _take_in(where, asker)  # of a job that was changed, or read halfway; what is still awaited is asked next
            continue
        if not left:
            write_batch(where / "requests", "requests", server, requests)
        _run_round(where, server, job.fleet[server.model])
        counts = _take_in(where, asker)
        if not counts["answered"]:
            listed = "\n".join(f"  {count:,}: {reason}" for reason, count in counts.items())
            raise SapwoodError(f"No request to '{server.label}' was answered.\n{listed}")


def _run_round(where: Path, server: ModelServer, fleet: Fleet) -> None:
    total = sum(1 for _ in _requests(where))
    run(
        [AnswerRequests(where, server, fleet)],
        tasks=min(fleet.tasks, total),
        logs=where / "logs",
        engine=fleet.engine,
        title=f"asking {server.model}",
        total=total,
        reached=_counter(where / "results"),
    )


def _take_in(where: Path, asker: Asker) -> Counter[str]:
    counts = asker.read_batch(sorted((where / "results").glob("*.jsonl")))
    shutil.rmtree(where)
    return counts


def _requests(where: Path) -> Iterator[tuple[str, bytes]]:
    """The key of each request, and its line."""
    for path in sorted((where / "requests").glob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                yield orjson.loads(line)["custom_id"], line


def _answered(where: Path) -> set[str]:
    """The keys of the requests that have an answer. A line that was cut short has none."""
    found = set()
    for path in (where / "results").glob("*.jsonl"):
        with path.open("rb") as file, suppress(ValueError):
            for line in file:
                result = orjson.loads(line)
                if result["response"] is not None:
                    found.add(result["custom_id"])
    return found


def _counter(results: Path) -> Callable[[], int]:
    """Counts the results; what was counted is not read again."""
    places: Counter[Path] = Counter()
    lines = 0

    def count() -> int:
        nonlocal lines
        for path in results.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(places[path])
                new = file.read()
            places[path] += len(new)
            lines += new.count(b"\n")
        return lines

    return count


class AnswerRequests(Block):
    """Answers every n-th request of a round that has no answer yet."""

    def __init__(self, where: Path, server: ModelServer, fleet: Fleet) -> None:
        super().__init__()
        self.where = where
        self.server = server
        self.fleet = fleet

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Takes no documents, and gives none."""
        answered = _answered(self.where)
        mine = [
            Document(id=key, text=line.decode())
            for number, (key, line) in enumerate(_requests(self.where))
            if number % world_size == rank and key not in answered
        ]
        if mine:
            from sapwood.synthesis.inference import answer  # only tasks need it, and it takes a second

            answer(mine, self.server, self.fleet, Lines(self.where / "results" / f"{rank:05d}.jsonl"), self.where, rank)
        yield from ()
