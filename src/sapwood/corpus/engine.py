"""Runs a list of blocks where the recipe says, and shows how far the work is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sapwood.corpus.block import Block
from sapwood.corpus.disk import full_disk_explained
from sapwood.corpus.engines.job import Job, check_options
from sapwood.corpus.engines.local import cores, run_local
from sapwood.progress import Advance, track
from sapwood.recipe.data import Engine

FEW_TASKS, MANY_TASKS = 64, 1000
"""The most tasks for small and for very large sources; no more than Slurm takes in one array."""
TASK_BYTES = 256 * 2**20
"""Work in a task, where there are more than a few."""
WORKER_BYTES = 8 * 2**20
"""Work for each process of this machine: starting one takes as long as a few megabytes."""

_LOOK_SECONDS = 0.5


def check_engine(engine: Engine) -> None:
    """Raises SapwoodError for an engine that cannot be used here, or whose options are unknown, wrong or missing."""
    if engine.kind == "local":
        check_options("local", engine.options, {})
    elif engine.kind == "ray":
        from sapwood.corpus.engines.ray import check_ray

        check_ray(engine.options)
    else:
        from sapwood.corpus.engines.slurm import check_slurm  # takes a third of a second to import

        check_slurm(engine.options)


def run(
    blocks: Sequence[Block],
    *,
    tasks: int,
    logs: Path,
    engine: Engine,
    title: str,
    total: int,
    reached: Callable[[], int],
) -> None:
    """Deals the work to at most `tasks` tasks, passes the documents of each through all blocks, and waits for the end.

    How many tasks there are follows from the work alone: neither the engine nor the number of workers changes what
    comes out. `logs` is the directory of logs and completion marks: tasks that are marked there as complete are not
    run again. `total` is the work in bytes, and `reached` tells how much of it is done, as seen on the disk.

    Raises what a block raises: as it was where the blocks run in this process, and otherwise SapwoodError for
    SapwoodError, and RuntimeError with the place of the traceback for all else. Raises SapwoodError where the disk or
    the memory is full, a worker is killed, or the engine cannot be used. The same work can then be run again, and goes
    on where it was.
    """
    check_engine(engine)
    if not tasks:
        return
    job = Job(list(blocks), _count(tasks, total), logs, title)
    try:
        with full_disk_explained(logs.parent, title), _shown(title, total, reached):
            ranks = job.begin()
            if ranks:
                _run(job, ranks, engine, total)
    except MemoryError as error:
        raise job.killed("ran out of memory") from error


def _count(tasks: int, total: int) -> int:
    return min(tasks, max(FEW_TASKS, min(MANY_TASKS, total // TASK_BYTES)))


def _run(job: Job, ranks: Sequence[int], engine: Engine, total: int) -> None:
    if engine.kind == "local":
        run_local(job, ranks, min(len(ranks), engine.workers or cores(), 1 + total // WORKER_BYTES))
    elif engine.kind == "ray":
        from sapwood.corpus.engines.ray import run_on_ray

        run_on_ray(job, ranks, engine.workers, engine.options)
    else:
        from sapwood.corpus.engines.slurm import run_on_slurm

        run_on_slurm(job, ranks, engine.workers, engine.options)


@contextmanager
def _shown(title: str, total: int, reached: Callable[[], int]) -> Iterator[None]:
    before = reached()
    with track(title, total, done=before) as advance:
        stop = threading.Event()
        watch = threading.Thread(target=_watch, args=(reached, before, stop, advance), daemon=True)
        watch.start()
        try:
            yield
        finally:
            stop.set()
            watch.join()


def _watch(reached: Callable[[], int], before: int, stop: threading.Event, advance: Advance) -> None:
    stopped = False
    while not stopped:
        stopped = stop.wait(_LOOK_SECONDS)
        with suppress(OSError):  # a file may go between two looks
            now = reached()
            if now != before:  # or else a log gets lines that say nothing new, and times left that are guesses
                advance(now - before)
            before = now
