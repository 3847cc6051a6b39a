"""Runs tasks in processes of this machine, and notices when one of them is killed.

A worker is started as a program of its own, not by `multiprocessing`: it does not import the user's main module anew,
and a worker that is killed ends its connection, where a pool would wait for its answer for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from sapwood.corpus.engines.job import Job

_PROGRAM = (
    # Ctrl-C reaches every process of a terminal; the main one answers it, and ends these.
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "import sys; from sapwood.corpus.engines.local import work; work(int(sys.argv[1]))"
)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(job: Job, ranks: Sequence[int], workers: int) -> None:
    """Runs the tasks, `workers` at once; without processes of their own where that is one.

    Raises what a block raises: as it was in this process, from another as `Job.error` says. Raises SapwoodError where a
    worker was killed. All workers have ended when this returns.
    """
    if workers == 1:
        for rank in ranks:
            job.run_task(rank)
        return
    waiting = deque(ranks)
    crew: dict[Connection, subprocess.Popen[bytes]] = {}
    try:
        for _ in range(min(workers, len(ranks))):
            ours, theirs = Pipe()
            crew[ours] = _start(theirs)
            theirs.close()
        for connection in crew:
            _tell(connection, job, waiting.popleft())
        while crew:
            ready = wait(list(crew))
            for connection in [one for one in crew if one in ready]:
                try:
                    failure = connection.recv()
                except (EOFError, ConnectionError):
                    raise job.killed(_how_it_ended(crew[connection])) from None
                if failure is not None:
                    raise job.error(failure)
                if waiting:
                    _tell(connection, waiting.popleft())
                else:
                    connection.close()
                    crew.pop(connection).communicate()
    finally:
        for process in crew.values():
            process.kill()
        for process in crew.values():
            process.communicate()


def _start(connection: Connection) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, str(connection.fileno())],
        stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however it does
        pass_fds=[connection.fileno()],
        env={**os.environ, "PYTHONPATH": path},
    )


def _tell(connection: Connection, *messages: Any) -> None:
    with suppress(ConnectionError):  # that the worker is gone is noticed when it gives no answer
        for message in messages:
            connection.send(message)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"


def work(descriptor: int) -> None:
    """What a worker does: takes the job and the numbers of tasks, runs these, and tells how each of them ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(descriptor)
    job = connection.recv()
    while True:
        try:
            rank = connection.recv()
        except EOFError:
            return
        connection.send(job.attempt_task(rank))


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)
