"""Ends a process that hangs, and says where it does."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapwood.files import write_atomic

STALLED = 70
"""The exit status of a process that hung."""


class Watchdog:
    """Watches, from a thread, that what the rank is doing comes to an end in time.

    When a rank hangs, the others wait for it in a message that it does not send. So all of them end, and each says what
    it was doing: the one to look at is the one that was not waiting.
    """

    def __init__(self, rank: int, directory: Path, seconds: float) -> None:
        """Reports into `directory` when something takes longer than `seconds`."""
        self._rank = rank
        self._directory = directory
        self._seconds = seconds
        self._doing, self._since = "starting", time.monotonic()
        self._paused = False
        self._closed = threading.Event()
        self._main = threading.get_ident()

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()

    def now(self, doing: str) -> None:
        """Says what the rank does from now on."""
        self._doing, self._since = doing, time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens in this block may take any time."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            self._since = time.monotonic()

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._seconds / 4)):
            took = time.monotonic() - self._since
            if not self._paused and took > self._seconds:
                report = self._report(took)
                print(report, file=sys.stderr, flush=True)
                try:
                    write_atomic(self._directory / f"rank-{self._rank}.txt", report)
                finally:
                    os._exit(STALLED)

    def _report(self, took: float) -> str:
        lines = [
            f"Rank {self._rank} on {socket.gethostname()} has been {self._doing} for {took:,.0f} seconds, longer than "
            "training.parallel.timeout allows. Nothing that was saved is lost; the same command continues."
        ]
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for number, frame in sys._current_frames().items():
            if number != threading.get_ident():
                name = "main" if number == self._main else names.get(number, str(number))
                lines.append(f"\nThread '{name}':\n{''.join(traceback.format_stack(frame))}")
        return "\n".join(lines) + "\n"
