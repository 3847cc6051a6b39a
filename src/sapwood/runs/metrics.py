"""One line a step: what a run logs of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sapwood.files import append_line, is_there, read_last_line, read_line, read_lines, reading, write_atomic

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

    @staticmethod
    def from_json(line: Mapping[str, Any]) -> StepMetrics:
        """Reads a line. A number that JSON cannot hold, such as an infinite norm, is read as NaN."""
        values: dict[str, Any] = {name: math.nan if line[name] is None else line[name] for name in NUMBERS}
        losses = {domain: math.nan if loss is None else loss for domain, loss in line["losses"].items()}
        return StepMetrics(**{**line, **values, "losses": losses})


def read_metrics(path: Path) -> list[StepMetrics]:
    """The steps logged so far."""
    steps = []
    remedy = again(path)
    for line in read_lines(path, remedy):
        with reading(path, remedy):
            steps.append(StepMetrics.from_json(line))
    return steps


def last_step(path: Path) -> StepMetrics | None:
    """The last step that was logged, without reading the log; None where there is none."""
    remedy = again(path)
    line = read_last_line(path, remedy)
    with reading(path, remedy):
        return None if line is None else StepMetrics.from_json(line)


def reached(path: Path) -> int:
    """The position up to which steps are logged."""
    last = last_step(path)
    return last.position if last else 0


def again(path: Path) -> str:
    """What to do where the log of a run is damaged."""
    return (
        f"Restore it from a copy (training.checkpoints.mirror), or remove it and {path.parent / 'checkpoints'}: "
        "`sapwood train` then does the same steps again."
    )


def undamaged(path: Path) -> Iterator[tuple[bytes, StepMetrics]]:
    """The lines of a log, and what they say, up to the first that is damaged or cut short."""
    if not is_there(path):
        return
    with reading(path, again(path)):
        content = path.read_bytes()
    for line in content.splitlines(keepends=True):
        try:
            said = StepMetrics.from_json(read_line(line))
        except (ValueError, LookupError, TypeError, AttributeError):
            return
        if not line.endswith(b"\n"):
            return
        yield line, said


def forget_after(path: Path, step: int) -> None:
    """Removes the lines of steps after `step`, damaged or not: a resumed run will do them again."""
    kept = b"".join(line for line, said in undamaged(path) if said.step <= step)
    if path.exists() and len(kept) < path.stat().st_size:
        write_atomic(path, kept)
