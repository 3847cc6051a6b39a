"""One line a step: what a run logs of itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sapwood.files import append_line, read_lines, write_lines

NUMBERS = ("loss", "gradient_norm")
"""What can be infinite or no number."""


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
    losses: dict[str, float]
    """The same for each domain in the batch."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    skipped: bool
    """Whether the weights were left as they were (`training.guard`)."""
    tokens_per_second: float
    utilisation: float | None
    """Floating point operations that the model needs, as a share of what the chips can do (MFU); None where their peak
    is not known."""
    data_wait: float
    """The share of the step's time in which there was no batch."""
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
        values: dict[str, Any] = {name: math.nan if line[name] is None else line[name] for name in NUMBERS}
        losses = {domain: math.nan if loss is None else loss for domain, loss in line["losses"].items()}
        steps.append(StepMetrics(**{**line, **values, "losses": losses}))
    return steps


def forget_after(path: Path, step: int) -> None:
    """Removes the lines of steps after `step`: a resumed run will do them again."""
    lines = read_lines(path)
    kept = [line for line in lines if line["step"] <= step]
    if len(kept) < len(lines):
        write_lines(path, kept)
