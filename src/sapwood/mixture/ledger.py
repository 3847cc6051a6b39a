"""The ledger: one line a round, append-only, on the disk before any token of the round is trained.

The stream of a run is a function of the ledger and the token shards alone; replaying the ledger replays the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import append_line, read_lines
from sapwood.mixture.apportion import Apportionment
from sapwood.mixture.weights import Weights

Losses = Mapping[str, Mapping[str, float]]
"""For each domain: `bits_per_byte` and its `standard_error`."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """A part of a stage in which the weights do not change."""

    index: int
    """Counted from 0 through the whole run."""
    stage: str
    """The name of its stage."""
    start: int
    """The position of its first sequence in the run."""
    sequences: int
    """How many sequences it has."""
    weights: Weights
    """The mixture."""
    first: dict[str, int]
    """For each domain of the run, the number of its next sequence when the round starts."""
    reasons: tuple[str, ...]
    """Why the weights are what they are, in words."""
    losses: Losses = field(default_factory=dict)
    """What was measured just before; empty when nothing was."""

    @property
    def stop(self) -> int:
        """The position after its last sequence."""
        return self.start + self.sequences

    @cached_property
    def apportionment(self) -> Apportionment:
        """The order of the domains inside the round."""
        return Apportionment(self.weights, self.sequences)

    def locate(self, position: int) -> tuple[str, int]:
        """The domain of the sequence at `position` of the run, and its number in that domain."""
        domain, rank = self.apportionment.locate(position - self.start)
        return domain, self.first.get(domain, 0) + rank

    def counts_until(self, position: int) -> dict[str, int]:
        """For each domain of the run, the number of its next sequence when the run has reached `position`."""
        counts = self.apportionment.counts(position - self.start)
        return {domain: self.first.get(domain, 0) + counts.get(domain, 0) for domain in self.first | counts}

    def to_json(self) -> dict[str, Any]:
        """The round's line."""
        return {
            "event": "round",
            "round": self.index,
            "stage": self.stage,
            "start": self.start,
            "sequences": self.sequences,
            "weights": {domain: str(weight) for domain, weight in self.weights.items()},
            "first": self.first,
            "reasons": list(self.reasons),
            "losses": {domain: dict(loss) for domain, loss in self.losses.items()},
        }

    @staticmethod
    def from_json(line: Mapping[str, Any]) -> Round:
        """Reads a round's line."""
        return Round(
            index=line["round"],
            stage=line["stage"],
            start=line["start"],
            sequences=line["sequences"],
            weights={domain: Fraction(weight) for domain, weight in line["weights"].items()},
            first=dict(line["first"]),
            reasons=tuple(line["reasons"]),
            losses=line["losses"],
        )


class Ledger:
    """The rounds of a run, in a file."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Opens the ledger in `path`. Raises SapwoodError when its rounds do not follow one another.

        A ledger that is not `writable` remembers new rounds without writing them: on all ranks but the first.
        """
        self.path = path
        self.writable = writable
        lines = read_lines(path)
        self.identity: dict[str, str] = next((line["identity"] for line in lines if line["event"] == "begin"), {})
        """What the run was begun with: fingerprints of the model and of every source's tokens."""
        self.finished_at: int = max((line["position"] for line in lines if line["event"] == "finish"), default=0)
        """The position at which training reached its end; 0 before. A run with another stage can go on from there."""
        self.rounds = [Round.from_json(line) for line in lines if line["event"] == "round"]
        position = 0
        for index, entry in enumerate(self.rounds):
            if entry.index != index or entry.start != position:
                raise SapwoodError(
                    f"{path}: round {entry.index} starts at sequence {entry.start}, and round {index} should start at "
                    f"{position}. The ledger was changed by hand; restore it, or start a new run."
                )
            position = entry.stop

    def begin(self, identity: Mapping[str, str]) -> None:
        """Writes what the run is begun with, the first time; afterwards raises SapwoodError if it is something else."""
        if not self.identity:
            self.identity = dict(identity)
            self._write({"event": "begin", "identity": self.identity})
        changed = [name for name in self.identity if identity.get(name) != self.identity[name]]
        if changed:
            raise SapwoodError(
                f"The run of {self.path} was begun with another {' and another '.join(changed)}. "
                "Put back what it was begun with, or give the run another name."
            )

    def append(self, entry: Round) -> None:
        """Writes a round; it is on the disk when this returns."""
        self._write(entry.to_json())
        self.rounds.append(entry)

    def finish(self, position: int) -> None:
        """Writes, once, that training reached its end at `position`."""
        if self.finished_at != position:
            self.finished_at = position
            self._write({"event": "finish", "position": position})

    def at(self, position: int) -> Round | None:
        """The round that holds `position`; None if it has not been decided yet."""
        return next((entry for entry in reversed(self.rounds) if entry.start <= position < entry.stop), None)

    def counts_until(self, position: int) -> dict[str, int]:
        """For each domain, how many of its sequences stand before `position`."""
        if position == 0 or not self.rounds:
            return {}
        entry = self.at(position) or self.rounds[-1]
        return entry.counts_until(position)

    def _write(self, record: dict[str, Any]) -> None:
        if self.writable:
            append_line(self.path, {**record, "time": datetime.now(UTC).isoformat(timespec="seconds")})
