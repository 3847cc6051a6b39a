"""datatrove's local executor, without its messages on the console."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils import logging


class QuietExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """Runs blocks in local processes. What datatrove has to say is in the files of its logging directory alone."""

    main_process: int

    def run(self) -> Any:
        self.main_process = os.getpid()
        _silence()
        return super().run()

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        if os.getpid() != self.main_process:
            # Ctrl-C reaches every process of a terminal; the main one answers it, and ends these.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _silence()
        return super()._run_for_rank(rank, local_rank, node_rank)


def _silence() -> None:
    """datatrove adds `sys.stderr` to loguru's sinks at every task, unasked; here it finds one that drops everything."""
    logging.sys = SimpleNamespace(stderr=_drop)
    logging.setup_default_logger()


def _drop(message: str) -> None:
    del message
