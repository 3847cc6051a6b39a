"""A process that runs trials one after another, each in a child of its own: `python -m sapwood.studies.worker`.

What a trial does to its process, be it a crash or memory that is gone, ends with the child and touches no other trial.
The children are forked from a process that has loaded torch and computed nothing: starting one takes milliseconds.
An order is a line of JSON on standard input, an answer one on standard output; both are the parent's alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import sapwood
from sapwood.errors import SapwoodError

if TYPE_CHECKING:
    from sapwood.pipeline.handle import Run

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_FAILED, _STOPPED = 1, 130


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A run to be done, in words that another process understands."""

    kind: Literal["prepare", "trial"]
    """To prepare sources and measure the base model; or everything."""
    recipe: str
    """The file."""
    overrides: Sequence[str]
    directory: str
    """The run's."""
    takes: str
    """The run whose documents and tokens it takes; empty for none."""
    log: str
    """The file that its output goes to."""


class Worker:
    """The parent's end: a process that does orders. What is in `environment` is set in it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # The package may be on the parent's path alone.
        here = str(Path(sapwood.__file__).parents[1])
        path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment, "PYTHONPATH": path},
        )

    def do(self, order: WorkOrder) -> str | None:
        """Does an order. Returns why it failed, empty where it did not; None where it was stopped by Ctrl-C."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asdict(order)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            return f"the process of its worker ended ({order.log})"
        error = json.loads(answer)
        return None if error is None else str(error)

    def close(self) -> None:
        """Ends the process once it has nothing to do."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Does the orders that come, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child saves and stops; the worker says so
    _end_with_parent()
    import torch  # noqa: F401 - loaded once, for all children
    import transformers  # noqa: F401

    import sapwood.pipeline.run
    import sapwood.pipeline.train  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    for line in sys.stdin:
        order = WorkOrder(**json.loads(line))
        child = os.fork()
        if child == 0:
            _be_child(order)
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps(_told(order, os.waitstatus_to_exitcode(status))) + "\n")
        answers.flush()


def _told(order: WorkOrder, code: int) -> str | None:
    """What became of an order, by how its process ended."""
    if code == _STOPPED:
        return None
    if code == 0:
        return ""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}; out of memory, perhaps ({order.log})"
    message = _message(Path(order.log))
    return message.read_text(encoding="utf-8") if message.exists() else f"it ended with status {code} ({order.log})"


def _message(log: Path) -> Path:
    return log.with_suffix(".error")


def _be_child(order: WorkOrder) -> None:
    """Does the order and ends the process, whatever happens."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    code = _FAILED
    try:
        code = _do(order)
    except KeyboardInterrupt:
        code = _STOPPED
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _do(order: WorkOrder) -> int:
    log = Path(order.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    _message(log).unlink(missing_ok=True)
    try:
        return _KINDS[order.kind](order)
    except SapwoodError as error:
        print(error, file=sys.stderr)
        _message(log).write_text(str(error), encoding="utf-8")
    except Exception as error:
        traceback.print_exc()
        _message(log).write_text(f"{type(error).__name__}: {error} ({log})", encoding="utf-8")
    return _FAILED


def _prepare(order: WorkOrder) -> int:
    from sapwood.pipeline.evaluate import evaluate
    from sapwood.pipeline.prepare import prepare

    run = _opened(order)
    prepare(run)
    evaluate(run)
    return 0


def _try(order: WorkOrder) -> int:
    from sapwood.pipeline.run import run as run_all

    run = run_all(_opened(order))
    return 0 if run.directory.model.exists() else _STOPPED


def _opened(order: WorkOrder) -> Run:
    from sapwood.pipeline.handle import Run, load_recipe
    from sapwood.runs.directory import RunDirectory
    from sapwood.studies.share import take

    directory = RunDirectory(Path(order.directory))
    if order.takes:
        take(RunDirectory(Path(order.takes)), directory)
    return Run(load_recipe(order.recipe, order.overrides), directory, Path(order.recipe))


_KINDS: dict[str, Callable[[WorkOrder], int]] = {"prepare": _prepare, "trial": _try}


def _end_with_parent() -> None:
    """Has Linux end this process with the one that started it: a killed study leaves nothing that writes."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    main()
