"""What a run took: time, device hours, FLOPs. Nothing is guessed; what is not known stays away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from sapwood.device.chips import find_chip
from sapwood.report.run_view import RunView
from sapwood.report.table import NOTHING, Cell, Table, duration, number, share
from sapwood.report.wording import short
from sapwood.runs.metrics import StepMetrics


@dataclass(frozen=True, slots=True)
class Cost:
    """What training took: all of it, or a stage."""

    name: str
    steps: int
    tokens: int
    seconds: float
    ranks: int | None
    """How many devices trained; None where that was not written down."""
    utilisation: float | None
    """Mean over the time (MFU); None where the chips' peak is not known."""
    data_wait: float
    """The share of the time in which there was no batch."""
    flops: float | None
    """Floating point operations that the model needed."""

    @property
    def device_hours(self) -> float | None:
        """Hours of all devices together."""
        return None if self.ranks is None else self.seconds * self.ranks / 3600

    @property
    def tokens_per_second(self) -> float | None:
        """Mean over the time."""
        return self.tokens / self.seconds if self.seconds else None


def costs(facts: RunView) -> list[Cost]:
    """What every stage took, and, where there are several, the whole run at the end."""
    found = [_cost(facts, stage, steps) for stage, steps in _stages(facts.steps)]
    whole = _cost(facts, "Whole run", [part for _, steps in _stages(facts.steps) for part in steps])
    return [*found, whole] if len(found) > 1 else found


def costs_table(found: Sequence[Cost]) -> Table:
    """What every stage took; the whole run last, where there are several."""
    table = Table("Stage", "Time", "Device hours", "Tokens a second", "Waiting for data", "FLOPs", "MFU")
    for cost in found:
        speed, flops = cost.tokens_per_second, cost.flops
        table.add(
            *(cost.name, duration(cost.seconds), number(cost.device_hours, 2)),
            NOTHING if speed is None else Cell(short(speed), speed, is_number=True),
            share(cost.data_wait),
            NOTHING if flops is None else Cell(f"{flops:.3g}", flops, is_number=True),
            share(cost.utilisation),
            tone="strong" if cost is found[-1] and len(found) > 1 else "",
        )
    return table


def _stages(steps: Sequence[StepMetrics]) -> Iterator[tuple[str, list[tuple[StepMetrics, int, float]]]]:
    """By stage, its steps with their tokens and seconds."""
    before = [(0, 0.0), *((step.tokens, step.seconds) for step in steps)]
    lengths = [(tokens - start, seconds - since) for (start, since), (tokens, seconds) in pairwise(before)]
    for stage, parts in groupby(zip(steps, lengths, strict=True), key=lambda part: part[0].stage):
        yield stage, [(step, *length) for step, length in parts]


def _cost(facts: RunView, name: str, steps: Sequence[tuple[StepMetrics, int, float]]) -> Cost:
    seconds = sum(part for *_, part in steps)
    ranks = facts.environment.get("ranks")
    known = [(step.utilisation, part) for step, _, part in steps if step.utilisation is not None]
    used = sum(share * part for share, part in known)
    chip = find_chip(str(facts.environment.get("device", "")))
    peak = chip and chip.peak(facts.recipe.training.precision)
    return Cost(
        name=name,
        steps=len(steps),
        tokens=sum(tokens for _, tokens, _ in steps),
        seconds=seconds,
        ranks=ranks,
        utilisation=used / seconds if len(known) == len(steps) and seconds else None,
        data_wait=sum(step.data_wait * part for step, _, part in steps) / seconds if seconds else 0.0,
        flops=used * peak * ranks if len(known) == len(steps) and peak and ranks else None,
    )
