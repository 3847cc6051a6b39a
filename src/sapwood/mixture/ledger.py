"""The ledger: one line a round, append-only, on the disk before any token of the round is trained.

The stream of a run is a function of the ledger and the token shards alone; replaying the ledger replays the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from sapwood.backbone.traits import ModelTraits
from sapwood.errors import SapwoodError
from sapwood.files import append_line, read_lines
from sapwood.mixture.apportion import Apportionment
from sapwood.mixture.measured import Losses, Measured
from sapwood.mixture.weights import Mixture
from sapwood.recipe import Recipe
from sapwood.recipe.mixture import Order


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
    sequence_length: int
    """Tokens in each of them."""
    start_tokens: int
    """Tokens of the run before it."""
    mixture: Mixture
    """The weights."""
    first: dict[str, int]
    """For each domain of the run, how many tokens of it came before the round."""
    deficit: dict[str, Fraction] = field(default_factory=dict)
    """What is due to a domain from the earlier rounds of the stage, in sequences; below zero where it had too much."""
    orders: dict[str, Order] = field(default_factory=dict)
    """The order of documents from here on, by domain; shuffled where nothing is said. The same all through a stage."""
    reasons: tuple[str, ...]
    """Why the weights are what they are, in words."""
    losses: Losses = field(default_factory=dict)
    """What was measured just before; empty when nothing was."""
    states: dict[str, Any] = field(default_factory=dict)
    """What the controllers remember, by family."""
    static: dict[str, int] = field(default_factory=dict)
    """Sequences of each domain that the recipe's own mixture would have trained in the stage, to the end of the round,
    to within one."""

    @property
    def stop(self) -> int:
        """The position after its last sequence."""
        return self.start + self.sequences

    @cached_property
    def apportionment(self) -> Apportionment:
        """The order of the domains inside the round."""
        return Apportionment(self.mixture, self.sequences, self.deficit)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many sequences of each domain it has."""
        return self.apportionment.counts(self.sequences)

    def locate(self, position: int) -> tuple[str, int]:
        """The domain of the sequence at `position` of the run, and how many of the round's come before it there."""
        return self.apportionment.locate(position - self.start)

    def positions(self, domain: str, ranks: Sequence[int]) -> list[int]:
        """The positions of some of the sequences that the round has of a domain."""
        return [self.start + int(slot) for slot in self.apportionment.slots(domain, ranks)]

    def consumed_until(self, position: int) -> dict[str, int]:
        """For each domain of the run, how many of its tokens came before `position`."""
        counts = self.counts if position == self.stop else self.apportionment.counts(position - self.start)
        return {
            domain: self.first.get(domain, 0) + counts.get(domain, 0) * self.sequence_length
            for domain in self.first | counts
        }

    def deficit_after(self) -> dict[str, Fraction]:
        """What is due to every domain when the round is over, in sequences."""
        due = {
            domain: self.deficit.get(domain, Fraction(0))
            + self.mixture.weights.get(domain, Fraction(0)) * self.sequences
            - self.counts.get(domain, 0)
            for domain in self.deficit | self.mixture.weights
        }
        return {domain: amount for domain, amount in due.items() if amount}

    def to_json(self) -> dict[str, Any]:
        """The round's line."""
        return {
            "event": "round",
            "round": self.index,
            "stage": self.stage,
            "start": self.start,
            "start_tokens": self.start_tokens,
            "sequences": self.sequences,
            "sequence_length": self.sequence_length,
            "weights": self.mixture.to_json(),
            "counts": self.counts,
            "static": self.static,
            "first": self.first,
            "deficit": {domain: str(amount) for domain, amount in self.deficit.items()},
            "orders": {domain: order.model_dump(mode="json") for domain, order in self.orders.items()},
            "reasons": list(self.reasons),
            "losses": {name: measured.to_json() for name, measured in self.losses.items()},
            "states": self.states,
        }

    @staticmethod
    def from_json(line: Mapping[str, Any]) -> Round:
        """Reads a round's line."""
        entry = Round(
            index=line["round"],
            stage=line["stage"],
            start=line["start"],
            start_tokens=line["start_tokens"],
            sequences=line["sequences"],
            sequence_length=line["sequence_length"],
            mixture=Mixture.from_json(line["weights"]),
            static=dict(line["static"]),
            first=dict(line["first"]),
            deficit={domain: Fraction(amount) for domain, amount in line["deficit"].items()},
            orders={domain: Order.model_validate(order) for domain, order in line["orders"].items()},
            reasons=tuple(line["reasons"]),
            losses={name: Measured.from_json(record) for name, record in line["losses"].items()},
            states=dict(line["states"]),
        )
        entry.__dict__["counts"] = dict(line["counts"])  # known, without building the order that they follow from
        return entry


@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A skipped step."""

    action: str
    """`skip`, or `roll-back` to the last checkpoint."""
    step: int
    start: int
    """The position of its first sequence."""
    stop: int
    """The position after its last."""
    reason: str
    """What was wrong with it."""


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """A line of the ledger, as one reads it who follows the run."""

    kind: str
    """`begin`, `recipe`, `model`, `round`, `gate`, `skip`, `roll-back`, `finish`."""
    time: str
    """When it was written, by ISO 8601 in UTC."""
    position: int
    """Sequences of the run before it."""
    stage: str = ""
    """Of a round or a gate."""
    number: int = 0
    """Of a round; of a step that was skipped."""
    reason: str = ""
    """In words; empty where there is none."""

    @staticmethod
    def of(line: Mapping[str, Any]) -> LedgerEvent:
        """Reads any line, one of a later version too."""
        return LedgerEvent(
            kind=line["event"],
            time=line.get("time", ""),
            position=line["start"] if "start" in line else line.get("position", 0),
            stage=line.get("stage", ""),
            number=line.get("round", line.get("step", 0)),
            reason=" ".join(line["reasons"]) if "reasons" in line else line.get("reason", ""),
        )


def restore(path: Path) -> str:
    """What to do where a ledger is damaged."""
    return (
        f"Restore it from a copy (training.checkpoints.mirror keeps one), or start a new run under another name: what "
        f"{path.parent} was trained on is written nowhere else."
    )


class Ledger:
    """The rounds of a run, in a file."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Opens the ledger in `path`. Raises SapwoodError when its rounds do not follow one another.

        A ledger that is not `writable` remembers new rounds without writing them: on all ranks but the first.
        """
        self._open(path, writable, read_lines(path, restore(path)))

    @classmethod
    def from_lines(cls, lines: Iterable[Mapping[str, Any]], path: Path) -> Ledger:
        """The ledger of lines that were read already, as those of a run behind an address are. Read only."""
        ledger = cls.__new__(cls)
        ledger._open(path, False, lines)
        return ledger

    def _open(self, path: Path, writable: bool, lines: Iterable[Mapping[str, Any]]) -> None:
        self.path = path
        self.writable = writable
        self.events: list[LedgerEvent] = []
        """All lines that there were when it was opened, in their order."""
        self.identity: dict[str, str] = {}
        """What the run was begun with: fingerprints of the model and of every source's tokens."""
        self.recipe: Recipe | None = None
        """The recipe that the run was last begun or continued with."""
        self.traits: ModelTraits | None = None
        """What was observed of the model when the run was last begun or continued; None before."""
        self.finished_at: int = 0
        """The position at which training reached its end; 0 before. A run with another stage can go on from there."""
        self.ended: dict[str, str] = {}
        """The stages that a gate ended before their budget did, and why."""
        self.skipped_steps: list[SkippedStep] = []
        """The steps that were not learnt from, in the order in which that was found."""
        self.rounds: list[Round] = []
        for line in lines:
            try:
                self.events.append(LedgerEvent.of(line))
                self._take(line)
            except (KeyError, TypeError, ValueError) as missing:
                raise SapwoodError(
                    f"{path}: the line of {line.get('event')} {line.get('round', '')} lacks {missing}: the run was "
                    "begun by an earlier version of Sapwood. Continue it with that one, or start a new run."
                ) from None

    def _take(self, line: Mapping[str, Any]) -> None:
        event = line["event"]
        if event == "begin":
            self.identity |= line["identity"]
        elif event == "recipe":
            self.recipe = Recipe.model_validate(line["recipe"])
        elif event == "model":
            self.traits = ModelTraits.from_json(line["traits"])
        elif event == "finish":
            self.finished_at = max(self.finished_at, line["position"])
        elif event == "gate":
            self.ended[line["stage"]] = line["reason"]
        elif event in ("skip", "roll-back"):
            self.skipped_steps.append(SkippedStep(event, line["step"], line["start"], line["stop"], line["reason"]))
        elif event == "round":
            entry = Round.from_json(line)
            self._check(entry)
            self.rounds.append(entry)

    def begin(self, identity: Mapping[str, str]) -> None:
        """Writes what the run is begun with, by name; afterwards raises SapwoodError if any of it is something else.

        What is named for the first time, such as the source of a stage that was added, is added.
        """
        self.check(identity)
        new = {name: value for name, value in identity.items() if name not in self.identity}
        if new:
            self.identity |= new
            self._write({"event": "begin", "identity": new})

    def check(self, identity: Mapping[str, str]) -> None:
        """Raises SapwoodError where something is not what the run was begun with, and writes nothing."""
        changed = [name for name, known in self.identity.items() if identity.get(name) != known]
        if changed:
            raise SapwoodError(
                f"The run of {self.path} was begun with another {' and another '.join(changed)}. "
                "Put back what it was begun with, or give the run another name."
            )

    def adopt(self, recipe: Recipe) -> None:
        """Writes the recipe that the run is begun or continued with, where that is new."""
        if recipe != self.recipe:
            self.recipe = recipe
            self._write({"event": "recipe", "recipe": recipe.model_dump(mode="json")})

    def require(self, position: int, log: Path) -> None:
        """Raises SapwoodError where rounds before `position`, up to which the `log` has steps, are missing."""
        if position > self.decided:
            raise SapwoodError(
                f"{self.path} ends at sequence {self.decided:,}, and {log.name} has steps up to {position:,}: rounds "
                f"are missing. {restore(self.path)}"
            )

    def observe(self, traits: ModelTraits) -> None:
        """Writes what was observed of the model, where that is new."""
        if traits != self.traits:
            self.traits = traits
            self._write({"event": "model", "traits": traits.to_json()})

    def append(self, entry: Round) -> None:
        """Writes a round; it is on the disk when this returns.

        Where another process has written the round since the ledger was opened, its line stays. Raises SapwoodError
        where that line says something else.
        """
        self._check(entry)
        if not (self.writable and self._is_written(entry)):
            self._write(entry.to_json())
        self.rounds.append(entry)

    def refresh(self) -> None:
        """Takes over what another process has written since the ledger was opened."""
        now = Ledger(self.path)
        self.ended, self.finished_at = now.ended, now.finished_at
        for entry in now.rounds[len(self.rounds) :]:
            self._check(entry)
            self.rounds.append(entry)

    def end_stage(self, stage: str, position: int, reason: str) -> None:
        """Writes that a gate ends a stage at `position`, and why."""
        self.ended[stage] = reason
        self._write({"event": "gate", "stage": stage, "position": position, "reason": reason})

    def finish(self, position: int) -> None:
        """Writes, once, that training reached its end at `position`."""
        if self.finished_at != position:
            self.finished_at = position
            self._write({"event": "finish", "position": position})

    def note(self, skipped: SkippedStep) -> bool:
        """Writes that a step was skipped, and says whether that is new: it may be found again after a kill."""
        known = {(found.action, found.step, found.start) for found in self.skipped_steps}
        new = (skipped.action, skipped.step, skipped.start) not in known
        if new:
            self.skipped_steps.append(skipped)
            record = asdict(skipped)
            self._write({"event": record.pop("action"), **record})
        return new

    def leaves_out(self, positions: range) -> bool:
        """Whether training passes over these positions, since it was rolled back from them."""
        return any(
            skipped.action == "roll-back" and skipped.start < positions.stop and positions.start < skipped.stop
            for skipped in self.skipped_steps
        )

    def skipped_until(self, position: int) -> int:
        """How many tokens before `position` were read, and skipped."""
        places = {place for skipped in self.skipped_steps for place in range(skipped.start, skipped.stop)}
        return sum(entry.sequence_length for place in places if place < position and (entry := self.at(place)))

    @property
    def decided(self) -> int:
        """The position up to which rounds are decided."""
        return self.rounds[-1].stop if self.rounds else 0

    def at(self, position: int) -> Round | None:
        """The round that holds `position`; None if it has not been decided yet."""
        return next((entry for entry in reversed(self.rounds) if entry.start <= position < entry.stop), None)

    def of_stage(self, stage: str) -> list[Round]:
        """The rounds of a stage."""
        return [entry for entry in self.rounds if entry.stage == stage]

    def stage_start(self, stage: str) -> int:
        """How many tokens of the run come before a stage that has begun."""
        return self.of_stage(stage)[0].start_tokens

    def tokens_until(self, position: int) -> int:
        """How many tokens of the run come before `position`."""
        if position == 0 or not self.rounds:
            return 0
        entry = self.at(position) or self.rounds[-1]
        return entry.start_tokens + (position - entry.start) * entry.sequence_length

    def consumed_until(self, position: int) -> dict[str, int]:
        """For each domain, how many of its tokens come before `position`."""
        if position == 0 or not self.rounds:
            return {}
        entry = self.at(position) or self.rounds[-1]
        return entry.consumed_until(position)

    def orders_of(self, domain: str) -> list[tuple[int, Order]]:
        """The orders of a domain: from which of its tokens on, counted over all epochs, and which."""
        found: list[tuple[int, Order]] = []
        for entry in self.rounds:
            order = entry.orders.get(domain, Order())
            if not found or found[-1][1] != order:
                begin = entry.first.get(domain, 0)
                while found and found[-1][0] >= begin:
                    found.pop()  # no token of the domain was taken in that order
                if not found or found[-1][1] != order:
                    found.append((begin if found else 0, order))
        return found or [(0, Order())]

    def _check(self, entry: Round) -> None:
        index, position = len(self.rounds), self.decided
        if entry.index != index or entry.start != position:
            raise SapwoodError(
                f"{self.path}: round {entry.index} starts at sequence {entry.start}, and round {index} should start at "
                f"{position}. The ledger was changed by hand; restore it, or start a new run."
            )

    def _is_written(self, entry: Round) -> bool:
        for line in read_lines(self.path, restore(self.path)):
            if line["event"] == "round" and line["round"] == entry.index:
                there = Round.from_json(line)
                if (there.stage, there.sequences, there.mixture) != (entry.stage, entry.sequences, entry.mixture):
                    raise SapwoodError(
                        f"Another process has decided round {entry.index} of {self.path} otherwise, while this one was "
                        "at work. Let one process at a time train a run."
                    )
                return True
        return False

    def _write(self, record: dict[str, Any]) -> None:
        if self.writable:
            append_line(self.path, {**record, "time": datetime.now(UTC).isoformat(timespec="seconds")})
