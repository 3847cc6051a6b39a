"""The decided stream of a run as files that other trainers read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError, argument, closest
from sapwood.mixture.decided import RUNS, DecidedRun
from sapwood.mixture.decided import open_run as find_run
from sapwood.mixture.export.shards import Format, export_stream, trained_digest
from sapwood.pipeline.handle import writing, written


@dataclass(frozen=True, slots=True)
class ExportedStream:
    """Sequences of a run, in their order, in files."""

    directory: Path
    sequences: int
    tokens: int
    digest: str
    """Of all token ids, in hexadecimal digits."""
    wanted: int
    """The tokens that were asked for: more than `tokens` where the rest is not decided yet."""
    waits: bool
    """Whether what follows depends on losses, which training measures."""
    steps: int | None
    """So many steps have trained on exactly these tokens; None where training has not come so far."""


@dataclass(frozen=True, slots=True)
class _Range:
    """Positions to export."""

    start: int
    stop: int
    wanted: int
    waits: bool


def export(
    recipe: str | Path,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    runs: str | Path = RUNS,
    *,
    form: Format = "parquet",
    output: str | Path | None = None,
    stage: str | None = None,
    tokens: int | None = None,
    shard_tokens: int = 256_000_000,
) -> ExportedStream:
    """Writes the sequences of a prepared run, in their order. Called again, it continues where it stopped.

    `recipe` is a recipe's file or a run's directory. `output` is RUN/export/FORM unless it is given. `stage` exports
    that stage alone; `tokens` only so many from the beginning, in whole sequences. A file holds at most `shard_tokens`.

    Raises SapwoodError where nothing is decided yet, where other files are in `output`, and where the steps that have
    trained on these positions read something else.
    """
    from sapwood.training.probe import isolation_elsewhere  # it imports torch

    if stage is not None and tokens is not None:
        raise SapwoodError(f"{argument('stage')} and {argument('tokens')} exclude each other: write one of them.")
    path, changes = Path(recipe), written(overrides)
    _, place = find_run(path, changes, Path(runs))
    directory = place.root / "export" / form if output is None else Path(output)
    with writing(place.root):
        run = DecidedRun.open(path, changes, Path(runs))
        part = _range(run, stage, tokens)
        with writing(directory):
            isolation = isolation_elsewhere(run.recipe)
            account = export_stream(run, directory, form, part.start, part.stop, shard_tokens, isolation)
    exported = ExportedStream(
        directory=directory,
        sequences=part.stop - part.start,
        tokens=account["tokens"],
        digest=account["digest"],
        wanted=part.wanted,
        waits=part.waits,
        steps=None,
    )
    steps, found = trained_digest(run, part.start, part.stop) or (None, exported.digest)
    if found != exported.digest:
        raise SapwoodError(
            f"{exported.tokens:,} tokens in {exported.sequences:,} sequences, digest {exported.digest}, are in "
            f"{directory}.\n"
            f"But the {steps:,} steps that trained on these positions read something else, with the digest {found}."
        )
    return replace(exported, steps=steps)


def _range(run: DecidedRun, stage: str | None, tokens: int | None) -> _Range:
    """The positions that are asked for, as far as they are decided."""
    rounds = run.ledger.rounds if stage is None else run.ledger.of_stage(stage)
    planned = {part.name: part for part in run.plan.stages}
    if stage is not None and stage not in planned:
        raise SapwoodError(f"The recipe has no stage '{stage}'. {closest(stage, planned)}")
    if not rounds:
        what = "Nothing" if stage is None else f"Nothing of stage '{stage}'"
        raise SapwoodError(
            f"{what} is decided yet: the mixture follows losses, which training measures. `sapwood train` decides "
            "round after round; what it has decided can be exported."
        )
    start, stop = rounds[0].start, rounds[-1].stop
    total = run.plan.tokens if stage is None else planned[stage].sequences * planned[stage].sequence_length
    if tokens is not None:
        total = min(tokens, total)
        while stop > start and run.ledger.tokens_until(stop) > tokens:
            entry = next(entry for entry in rounds if entry.start < stop <= entry.stop)
            fit = (tokens - entry.start_tokens) // entry.sequence_length
            stop = entry.start + max(0, min(fit, stop - entry.start))
        if stop == start:
            raise SapwoodError(
                f"{argument('tokens', tokens)} is less than one sequence of {rounds[0].sequence_length} tokens."
            )
    got = run.ledger.tokens_until(stop) - run.ledger.tokens_until(start)
    ended = run.is_over if stage is None else stage in run.ledger.ended or run.ledger.decided > stop
    return _Range(start, stop, total, total - got >= rounds[-1].sequence_length and not ended)
