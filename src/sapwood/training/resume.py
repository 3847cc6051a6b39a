"""Whether what a run has left fits together, before it goes on: checkpoint, ledger, log and plan.

A checkpoint says how long the ledger and the log were when it was saved, and what stood in them. What comes after that
in either is of steps that will be done again: of the log it is removed, in the ledger it is followed. So a last line
that a kill has cut short does no harm there, and is refused anywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from sapwood.errors import SapwoodError
from sapwood.files import SEAL, reading
from sapwood.mixture.ledger import Ledger, restore
from sapwood.mixture.plan import Plan
from sapwood.progress import console
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import StepMetrics, again, undamaged
from sapwood.training.checkpoint import STATE, State, checkpoints, instead, read_records, read_state


def records_of(run: RunDirectory) -> dict[str, Any]:
    """How long a run's ledger and log are now, in bytes, and the checksums of that. They are on the disk afterwards."""
    return {path.name: _measure(path) for path in (run.ledger, run.metrics)}


def check_resume(run: RunDirectory, ledger: Ledger, plan: Plan) -> None:
    """Raises SapwoodError, with a remedy, where the newest checkpoint, the ledger, the log and the plan do not fit."""
    _check_plan(ledger, plan)
    steps = [line for _, line in undamaged(run.metrics)]
    saved, reached = checkpoints(run.checkpoints), 0
    if saved:
        state = read_state(saved[-1])
        _check_records(run, saved[-1])
        _check_state(ledger, saved[-1], state)
        _check_log(run.metrics, steps, saved[-1], state)
        reached = state.step
    undecided = [line.step for line in steps if line.step > reached and line.position > ledger.decided]
    if undecided:
        console.print(
            f"{ledger.path} has lost its last line, of a round that was trained on. No checkpoint is of that round: it "
            f"is decided again, and steps {undecided[0]:,} to {undecided[-1]:,} are done again with it.",
            style="yellow",
        )


def _check_plan(ledger: Ledger, plan: Plan) -> None:
    planned = {stage.name: stage.sequences for stage in plan.stages}
    for stage in dict.fromkeys(entry.stage for entry in ledger.rounds):
        decided = sum(entry.sequences for entry in ledger.of_stage(stage))
        if decided > planned.get(stage, 0):
            raise SapwoodError(
                f"{ledger.path} has {decided:,} sequences of stage '{stage}', and the plan {planned.get(stage, 0):,}. "
                "Train with the recipe that the run was begun with, or give the run another name."
            )


def _check_records(run: RunDirectory, checkpoint: Path) -> None:
    """That the ledger and the log still begin as they were when the checkpoint was saved."""
    for name, then in read_records(checkpoint).items():
        path = run.root / name
        with reading(path, instead(checkpoint)):
            content = path.read_bytes()[: then["bytes"]] if then["bytes"] else b""
        if len(content) < then["bytes"]:
            fault = f"it has {len(content):,} bytes, and had {then['bytes']:,}"
        elif xxhash.xxh3_128_hexdigest(content) != then[SEAL]:
            fault = f"its first {then['bytes']:,} bytes are not what they were"
        else:
            continue
        raise SapwoodError(
            f"{path} does not belong to {checkpoint.name}, which was saved with it: {fault}. Restore it from a copy "
            f"(training.checkpoints.mirror). Or: {instead(checkpoint)}"
        )


def _check_state(ledger: Ledger, checkpoint: Path, state: State) -> None:
    if state.position > ledger.decided:
        raise SapwoodError(
            f"{ledger.path} ends at sequence {ledger.decided:,}, and {checkpoint.name} has trained on "
            f"{state.position:,}: rounds are missing. {restore(ledger.path)} {instead(checkpoint)}"
        )
    tokens = ledger.tokens_until(state.position)
    if state.tokens != tokens:
        raise SapwoodError(
            f"{checkpoint / STATE} speaks of {state.tokens:,} tokens after {state.position:,} sequences, and "
            f"{ledger.path.name} of {tokens:,}. {instead(checkpoint)}"
        )


def _check_log(path: Path, steps: Sequence[StepMetrics], checkpoint: Path, state: State) -> None:
    there = [line for line in steps if line.step <= state.step]
    missing = next((number for number, line in enumerate(there, 1) if line.step != number), len(there) + 1)
    if missing <= state.step:
        raise SapwoodError(f"{path} lacks step {missing:,}, and {checkpoint.name} has done it. {again(path)}")
    if there and (there[-1].position, there[-1].tokens) != (state.position, state.tokens):
        raise SapwoodError(
            f"{path} has {there[-1].tokens:,} tokens and {there[-1].position:,} sequences after step {state.step:,}, "
            f"and {checkpoint.name} {state.tokens:,} and {state.position:,}. {instead(checkpoint)}"
        )


def _measure(path: Path) -> dict[str, Any]:
    content = b""
    if path.exists():
        with path.open("rb") as file:
            content = file.read()
            os.fsync(file.fileno())  # steps are logged without waiting for the disk
    whole = content[: content.rfind(b"\n") + 1]
    return {"bytes": len(whole), SEAL: xxhash.xxh3_128_hexdigest(whole)}
