"""`sapwood replay`: whether what a run was trained on is still what it was."""

from __future__ import annotations

from sapwood.cli.common import RunArgument
from sapwood.mixture.audit import replay as replay_steps
from sapwood.pipeline.handle import open_begun
from sapwood.progress import console, track
from sapwood.runs.metrics import read_metrics


def replay(run: RunArgument) -> None:
    """Read all that a run trained on once more, from its ledger, and prove that it is what was trained on."""
    directory, stream = open_begun(run)
    steps = read_metrics(directory.metrics)
    reached = steps[-1].position if steps else 0
    with track("Replaying", reached) as advance:
        replay_steps(stream, steps, advance)
    rounds = sum(entry.start < reached for entry in stream.ledger.rounds)
    tokens = stream.ledger.tokens_until(reached)
    console.print(f"Equal: {rounds} rounds, {len(steps):,} steps, {reached:,} sequences, {tokens:,} tokens.")
