"""A run's stream for those who do not train with our loop: opened, checked, and decided as far as it can be.

Where nothing has to be measured, all rounds are decided when the run is opened. Where a controller, a replay governor
or a gate looks at losses, the next round is decided when they are reported.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import fingerprint, write_json
from sapwood.mixture.adopt import adopt
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.measured import Losses, Measured, improvement
from sapwood.mixture.open import open_stream, read_sizes, source_identities
from sapwood.mixture.plan import Plan, make_plan
from sapwood.mixture.rounds import is_over, next_round
from sapwood.mixture.stream import Stream
from sapwood.recipe import Recipe, load_recipe
from sapwood.recipe.check import is_measured
from sapwood.recipe.document import line_of
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import refuse_held
from sapwood.statistics.change import BITS_PER_BYTE
from sapwood.statistics.estimate import Estimate

RUNS = Path("runs")
"""Where runs are kept, unless said otherwise."""


def open_run(path: Path, overrides: Iterable[str] | None, runs: Path) -> tuple[Recipe, RunDirectory]:
    """Reads the recipe at `path` and finds its run directory; `path` may be the run directory itself."""
    if path.is_dir():
        recipe = load_recipe(path / "recipe.yaml", list(overrides or ()))
        return recipe, RunDirectory(path)
    recipe = load_recipe(path, list(overrides or ()))
    return recipe, RunDirectory(runs / recipe.name)


def recipe_file(path: Path) -> Path:
    """The file of a recipe that was named by itself, or by the directory of its run."""
    return path / "recipe.yaml" if path.is_dir() else path


def plan_or_refuse(recipe: Recipe, run: RunDirectory, file: Path | None) -> Plan:
    """The plan of the recipe read from `file`. Raises SapwoodError, with lines, when it cannot work."""
    plan = make_plan(recipe, read_sizes(recipe, run))
    if plan.refusals:
        raise SapwoodError("\n".join(f"{line_of(file, place)}: {message}" for place, message in plan.refusals))
    return plan


@dataclass(frozen=True, slots=True)
class DecidedRun:
    """A run whose sources are prepared, with its rounds and its stream."""

    recipe: Recipe
    run: RunDirectory
    plan: Plan
    ledger: Ledger
    stream: Stream
    identity: dict[str, str]
    """Fingerprints of what the run was begun with, by name."""

    @staticmethod
    def open(path: Path, overrides: Iterable[str] = (), runs: Path = RUNS) -> DecidedRun:
        """Opens the run of a recipe, or in a run directory, and decides what can be decided without measuring.

        Any number of processes may do so at once: the first decides, the others follow. Raises SapwoodError where a
        source is not prepared, or is not what the run was begun with, and while a command writes into the run.
        """
        changes = list(overrides)
        recipe, run = open_run(path, changes, runs)
        plan = plan_or_refuse(recipe, run, recipe_file(path))
        domains = [part.domain for part in plan.domains]
        refuse_held(run.root)
        identity = source_identities(recipe, run, domains)
        with _one_at_a_time(run):
            ledger = Ledger(run.ledger)
            ledger.check(ledger.identity | identity)
            changed = changes or not path.is_dir()
            if changed:
                adopt(run, recipe)
            ledger.begin(ledger.identity | identity)  # the model is looked at by those who train it with us
            if changed or not ledger.rounds:
                ledger.adopt(recipe)
            if not ledger.rounds:
                write_json(run.plan, plan.to_json(), sealed=True)
            if not is_measured(recipe):
                while entry := next_round(recipe, plan, ledger, {}):
                    ledger.append(entry)
        stream = open_stream(recipe, run, ledger, domains)
        return DecidedRun(recipe, run, plan, ledger, stream, identity)

    @property
    def is_over(self) -> bool:
        """Whether every stage has been decided to its end."""
        return is_over(self.plan, self.ledger)

    def decide(self, losses: Losses, decided: int) -> None:
        """Decides the round after position `decided`, unless another process has done so.

        `losses` are what was measured of the model after the last round, or of the base model before the first. Changes
        that they lack are taken against what was reported before. Raises SapwoodError where losses are missing.
        """
        with _one_at_a_time(self.run):
            self.ledger.refresh()
            if self.ledger.decided > decided or self.is_over:
                return
            if not losses:
                when = "after the last round" if self.ledger.rounds else "of the base model, before training,"
                raise SapwoodError(
                    f"The next round depends on losses, and none were given. Report those measured {when} by domain, "
                    "source and group."
                )
            entry = next_round(self.recipe, self.plan, self.ledger, with_changes(losses, self.ledger.rounds))
            if entry is not None:
                self.ledger.append(entry)

    def make_epochs(self, entry: Round) -> None:
        """Makes the epochs that a round reads, one process at a time."""
        with _one_at_a_time(self.run):
            self.stream.make_epochs(entry)

    def history(self, rounds: int) -> str:
        """A fingerprint of all that decides the sequences of the first `rounds` rounds."""
        decisive = [_decisive(entry) for entry in self.ledger.rounds[:rounds]]
        return fingerprint([self.recipe.seed, self.identity, decisive])


def with_changes(losses: Losses, rounds: list[Round]) -> dict[str, Measured]:
    """The losses with their changes since the last report and since the base model, where they have none.

    What was reported is all there is, so the standard errors are those of unpaired differences: larger than those of
    the same documents measured twice.
    """
    last, base = (rounds[-1].losses, rounds[0].losses) if rounds else ({}, {})
    return {
        name: replace(
            now,
            since_last=now.since_last or _change(last.get(name), now),
            since_base=now.since_base or _change(base.get(name), now),
        )
        for name, now in losses.items()
    }


def _change(before: Measured | None, now: Measured) -> Estimate | None:
    if before is None:
        return None
    error = (before.standard_error**2 + now.standard_error**2) ** 0.5
    return improvement(BITS_PER_BYTE.improvement(before.bits_per_byte, now.bits_per_byte), error)


def _decisive(entry: Round) -> dict[str, Any]:
    """What a round's line says of its sequences, and not of why they are what they are."""
    line = entry.to_json()
    return {
        name: line[name]
        for name in ("stage", "start", "sequences", "sequence_length", "weights", "first", "deficit", "orders")
    }


@contextmanager
def _one_at_a_time(run: RunDirectory) -> Iterator[None]:
    """Lets one process at a time decide rounds and make epochs; the lock of a killed process is free again.

    In a directory that cannot be written to there is nothing to protect.
    """
    if not os.access(run.root, os.W_OK):
        yield
        return
    with (run.root / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
