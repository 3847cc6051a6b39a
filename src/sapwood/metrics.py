"""One line a step: what a run logs of itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sapwood.files import append_line, read_lines, write_lines


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """An optimizer step in numbers."""

    step: int
    position: int
    """Sequences trained on, this step included."""
    tokens: int
    """Tokens trained on, this step included."""
    stage: str
    loss: float
    """Nats per predicted token, over the whole batch."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    tokens_per_second: float
    seconds: float
    """Time spent training, since the first step, over all restarts."""
    memory_bytes: int
    """The most memory used so far, of the GPU or else of the process."""
    digest: str
    """Of the positions and tokens of the batch (`mixture.stream.digest`)."""

    def write(self, path: Path) -> None:
        """Appends the line."""
        append_line(path, asdict(self), durable=False)


def read_metrics(path: Path) -> list[StepMetrics]:
    """The steps logged so far. A number that JSON cannot hold, such as an infinite norm, is read as NaN."""
    steps = []
    for line in read_lines(path):
        values: dict[str, Any] = {name: math.nan if value is None else value for name, value in line.items()}
        steps.append(StepMetrics(**values))
    return steps


def forget_after(path: Path, step: int) -> None:
    """Removes the lines of steps after `step`: a resumed run will do them again."""
    lines = read_lines(path)
    kept = [line for line in lines if line["step"] <= step]
    if len(kept) < len(lines):
        write_lines(path, kept)
