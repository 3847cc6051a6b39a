"""The log of the steps. What the device has not computed yet is read later, at most once a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sapwood.device.memory import peak_memory
from sapwood.device.ranks import Ranks
from sapwood.runs.metrics import StepMetrics

READING = 1.0
"""Seconds between two readings, in which the host waits for the device, and then the device for the host."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A step of which the host knows everything but the numbers."""

    step: int
    positions: range
    tokens: int
    """In its batch."""
    total: int
    """Of the run, this step included."""
    stage: str
    learning_rate: float
    digest: str
    waited: float
    """Seconds without a batch."""
    numbers: torch.Tensor | None
    """What `Engine.step` gave; None for a batch that was passed over."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A step that the guard skipped."""

    step: int
    positions: range
    loss: float
    gradient_norm: float


class Log:
    """Reads the numbers of steps from the device, some at a time, and writes them."""

    def __init__(
        self,
        path: Path,
        domains: Sequence[str],
        ranks: Ranks,
        seconds: float,
        utilisation: Callable[[float], float | None],
        tell: Callable[[StepMetrics, int], None],
    ) -> None:
        """Writes to `path` on the first rank, after `seconds` of training, and hands every step to `tell` there, with
        the tokens of its batch.

        `utilisation` is that of the chips at so many tokens a second.
        """
        self._path = path
        self._domains = domains
        self._ranks = ranks
        self._utilisation = utilisation
        self._tell = tell
        self._waiting: list[Entry] = []
        self._started = time.monotonic()
        self.seconds = seconds
        """Time spent training, up to the last step that was read."""
        self.bad: list[Bad] = []
        """Steps that were skipped, and nothing was done about yet. The same on all ranks, when all have read."""

    def start(self) -> None:
        """Begins to count time anew, after what was no training."""
        self._started = time.monotonic()

    def add(self, entry: Entry) -> None:
        """Takes a step, and reads what has gathered, if the last time is long enough ago."""
        self._waiting.append(entry)
        if time.monotonic() - self._started >= READING:
            self.read()

    def read(self) -> None:
        """Reads all that has gathered, and writes it."""
        entries, self._waiting = self._waiting, []
        if not entries:
            return
        computed = [entry.numbers for entry in entries if entry.numbers is not None]
        read = iter(torch.stack(computed).tolist() if computed else [])
        elapsed = time.monotonic() - self._started
        self.start()
        speed = sum(entry.tokens for entry in entries) / max(elapsed, 1e-9)
        utilisation, memory = self._utilisation(speed), peak_memory(self._ranks.device)
        for entry in entries:
            self.seconds += entry.tokens / speed
            numbers = [math.nan, math.nan, 1.0] if entry.numbers is None else next(read)
            loss, norm, skipped = numbers[:3]
            if skipped and entry.numbers is not None:
                self.bad.append(Bad(entry.step, entry.positions, loss, norm))
            if self._ranks.first:
                metrics = StepMetrics(
                    step=entry.step,
                    position=entry.positions.stop,
                    tokens=entry.total,
                    stage=entry.stage,
                    loss=loss,
                    losses=self._by_domain(numbers[3:]),
                    learning_rate=entry.learning_rate,
                    gradient_norm=norm,
                    skipped=bool(skipped),
                    tokens_per_second=speed,
                    utilisation=utilisation,
                    data_wait=min(1.0, entry.waited * speed / entry.tokens),
                    seconds=self.seconds,
                    memory_bytes=memory,
                    digest=entry.digest,
                )
                metrics.write(self._path)
                self._tell(metrics, entry.tokens)

    def _by_domain(self, sums: Sequence[float]) -> dict[str, float]:
        counts = sums[len(self._domains) :]
        return {
            domain: total / count for domain, total, count in zip(self._domains, sums, counts, strict=False) if count
        }
