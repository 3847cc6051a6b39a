"""Runs a list of blocks on the cores at hand, and shows how far it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from sapwood.corpus.block import Block
from sapwood.corpus.document import shards
from sapwood.corpus.inputs import InputFile
from sapwood.corpus.write import read_account
from sapwood.progress import Advance, track

TASKS = 64
"""The most parts that the files of a source are dealt to. Not the number of cores: the shards must not depend on it."""
WORKER_BYTES = 64 * 2**20
"""Files to read for each process: starting one takes longer than reading a few megabytes."""

_LOOK_SECONDS = 0.5


def run(blocks: Sequence[Block], files: Sequence[InputFile], directory: Path, title: str) -> None:
    """Passes the files through the blocks into `directory`, with datatrove's logs and completion marks under `logs`.

    Tasks that are marked there as complete are not run again. Raises what a block raises.
    """
    from sapwood.corpus.executor import QuietExecutor  # datatrove's executors take a second to import

    tasks = min(len(files), TASKS)
    total = sum(file.size for file in files)
    workers = min(tasks, os.cpu_count() or 1, 1 + total // WORKER_BYTES)
    executor = QuietExecutor(list(blocks), tasks=tasks, workers=workers, logging_dir=str(directory / "logs"))
    watch = _Watch(directory)
    with track(title, total, done=watch.look()) as advance:
        stop = threading.Event()
        watcher = threading.Thread(target=watch.until, args=(stop, advance), daemon=True)
        watcher.start()
        try:
            executor.run()
        finally:
            stop.set()
            watcher.join()
        advance(total - watch.reached)


class _Watch:
    """Follows the bytes of input that have gone into shards."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: set[str] = set()
        self.tasks: dict[str, int] = {}

    @property
    def reached(self) -> int:
        return sum(self.tasks.values())

    def look(self) -> int:
        for path in shards(self.directory):
            if path.name not in self.seen:
                self.seen.add(path.name)
                self.tasks[path.name.split("-")[1]] = read_account(path).position.bytes
        return self.reached

    def until(self, stop: threading.Event, advance: Advance) -> None:
        while not stop.wait(_LOOK_SECONDS):
            before = self.reached
            if self.look() > before:
                advance(self.reached - before)
