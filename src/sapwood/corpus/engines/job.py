"""The work of one step, dealt to tasks: what every engine runs, each in its own place.

LOGS/executor.json         the number of tasks
    /completions/00003     task 3 is complete
    /stats/00003.json      what its blocks counted, as datatrove writes it
    /failures/00003.json   why it stopped, with the traceback

The layout is datatrove's, so that its tools for looking at logs work.
"""

from __future__ import annotations

import inspect
import shutil
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from datatrove.utils.stats import PipelineStats, Stats
from pydantic import TypeAdapter, ValidationError

from sapwood.corpus.block import Block
from sapwood.errors import SapwoodError, closest
from sapwood.files import read_json, remove_leftovers, write_json


def check_options(kind: str, options: Mapping[str, Any], types: Mapping[str, Any], needed: Iterable[str] = ()) -> None:
    """Raises SapwoodError for an option that is unknown or of the wrong type, and where a needed one is missing."""
    for name, value in options.items():
        if name not in types:
            known = closest(name, types) if types else "It takes none."
            raise SapwoodError(f"The {kind} engine has no option '{name}'. {known}")
        try:
            TypeAdapter(types[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise SapwoodError(
                f"Option '{name}' of the {kind} engine is {value!r}: {error.errors()[0]['msg']}."
            ) from None
    missing = [name for name in needed if name not in options]
    if missing:
        raise SapwoodError(f"The {kind} engine needs '{missing[0]}'. Write it under `options` of `engine`.")


def types_of(function: Callable[..., Any], without: Iterable[str]) -> dict[str, Any]:
    """The arguments that a function takes, and their types."""
    hints = get_type_hints(function)
    return {
        name: hints.get(name, Any)
        for name in inspect.signature(function).parameters
        if name != "self" and name not in without
    }


_COMPLETIONS, _STATS, _FAILURES = "completions", "stats", "failures"


class Failure(NamedTuple):
    """Why a task stopped, in a form that travels between processes."""

    rank: int
    kind: str
    """The class of the exception."""
    message: str
    expected: bool
    """Whether the message is meant for the user (`SapwoodError`)."""
    errno: int | None
    traceback: list[str]


@dataclass(frozen=True)
class Job:
    """Blocks, and the tasks that their work is dealt to. It travels whole to other processes and machines."""

    blocks: list[Block]
    tasks: int
    logs: Path
    title: str

    def begin(self) -> list[int]:
        """Makes the logs ready for another attempt, and gives the tasks that are not complete.

        Marks of a job with another number of tasks are removed: its tasks were others.
        """
        about = self.logs / "executor.json"
        shutil.rmtree(self.logs / _FAILURES, ignore_errors=True)
        remove_leftovers(self.logs)
        if not about.exists() or read_json(about, f"Remove {self.logs}.")["world_size"] != self.tasks:
            shutil.rmtree(self.logs / _COMPLETIONS, ignore_errors=True)
            write_json(about, {"world_size": self.tasks})
        for name in (_COMPLETIONS, _STATS, _FAILURES):
            (self.logs / name).mkdir(parents=True, exist_ok=True)
        return self.incomplete()

    def incomplete(self) -> list[int]:
        """The tasks that are not marked as complete."""
        complete = {path.name for path in (self.logs / _COMPLETIONS).iterdir()}
        return [rank for rank in range(self.tasks) if f"{rank:05d}" not in complete]

    def run_task(self, rank: int) -> None:
        """Passes the documents of one task through all blocks, and marks it as complete. Raises what a block raises."""
        data: Any = None
        for block in self.blocks:
            block.stats = Stats(str(block))
            data = block(data, rank, self.tasks)
        deque(data, maxlen=0)
        (self.logs / _STATS / f"{rank:05d}.json").write_text(PipelineStats(self.blocks).to_json())
        (self.logs / _COMPLETIONS / f"{rank:05d}").touch()

    def attempt_task(self, rank: int) -> Failure | None:
        """As `run_task`, but gives what went wrong instead of raising it, and writes it into the logs."""
        try:
            self.run_task(rank)
        except Exception as error:
            failure = Failure(
                rank=rank,
                kind=type(error).__name__,
                message=str(error),
                expected=isinstance(error, SapwoodError),
                errno=error.errno if isinstance(error, OSError) else None,
                traceback="".join(traceback.format_exception(error)).splitlines(),
            )
            with suppress(OSError, UnicodeError):  # the disk may be full
                write_json(self.failure_path(rank), failure._asdict())
            return failure
        return None

    def failure_path(self, rank: int) -> Path:
        """Where it is written why a task stopped."""
        return self.logs / _FAILURES / f"{rank:05d}.json"

    def failure(self, ranks: Iterable[int]) -> Failure | None:
        """The first failure that one of these tasks has written down, if there is one."""
        for rank in ranks:
            path = self.failure_path(rank)
            if path.exists():
                return Failure(**read_json(path, f"Look into {self.logs}."))
        return None

    def error(self, failure: Failure) -> Exception:
        """What is raised here for a task that stopped elsewhere."""
        if failure.expected:
            return SapwoodError(failure.message)
        if failure.errno is not None:
            return OSError(failure.errno, failure.message)
        if failure.kind.endswith("MemoryError"):
            return MemoryError(failure.message)
        error = RuntimeError(
            f"{self.title}: task {failure.rank} stopped with {failure.kind}: {failure.message}\n"
            f"Its traceback is in {self.failure_path(failure.rank)}."
        )
        error.add_note("\n".join(failure.traceback))
        return error

    def killed(self, how: str) -> SapwoodError:
        """What is raised for a process that is gone without a word."""
        return SapwoodError(
            f"{self.title}: a worker process {how} (out of memory?). What is done is kept; the same command continues. "
            f"Fewer workers (`workers` under `engine`) need less memory."
        )
