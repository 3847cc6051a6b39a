"""`sapwood replay`: whether what a run was trained on is still what it was."""

from __future__ import annotations

from sapwood.cli.common import RunArgument
from sapwood.pipeline.ledger import replay as replay_run
from sapwood.progress import console


def replay(run: RunArgument) -> None:
    """Read all that a run trained on once more, from its ledger, and prove that it is what was trained on."""
    read = replay_run(run)
    console.print(
        f"Equal: {read.rounds} rounds, {read.steps:,} steps, {read.sequences:,} sequences, {read.tokens:,} tokens."
    )
