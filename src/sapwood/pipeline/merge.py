"""Averages of a run's weights, and weights between the base model and the adapted one, all measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sapwood.errors import SapwoodError, argument
from sapwood.evaluation.merged import Point, label_of, read_points
from sapwood.files import fingerprint
from sapwood.mixture.ledger import Ledger
from sapwood.pipeline.evaluate import evaluate_base, measure_model
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.recipe.schema import DecayShape
from sapwood.report.merge import write_merge_page
from sapwood.runs.directory import RunDirectory
from sapwood.runs.lock import hold


@dataclass(frozen=True, slots=True)
class AveragedCheckpoint:
    """A checkpoint in an average."""

    path: Path
    weight: float
    """How much it counts; the weights of an average sum to 1."""
    tokens: int
    """Tokens trained when it was saved."""
    learning_rate: float
    """When it was saved."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Merged weights, measured."""

    averaged: tuple[AveragedCheckpoint, ...]
    """Oldest first."""
    stages: tuple[str, str] | None
    """What was trained first and last between the oldest and the newest; None where that is one stage."""
    points: tuple[Point, ...]
    """Everything that was measured of this state of the run, now or before; the last weights come first."""
    page: Path
    """The report on all points."""
    model: Path | None
    """Where the model was written, if it was asked for."""


def merge(
    run: Run | str | Path,
    *,
    last: int | None = None,
    decay: DecayShape | None = None,
    ema: bool = False,
    with_base: Sequence[float] | None = None,
    output: str | Path | None = None,
) -> MergeResult | None:
    """Averages a run's weights, or mixes them with the base model's, and measures what comes of it.

    The weights are those of the last checkpoint; with `last`, the average of so many, alike or weighed to stand for a
    `decay` of the learning rate; with `ema`, the moving average that `training.ema` keeps. `with_base` are shares of
    the way from the base model to them, above 0 and up to 1. The model is written as the directory `output` if that is
    given. What is measured is not measured again. On several ranks the first alone gets the result, the others None.

    Raises SapwoodError where what is asked for excludes itself, or the run has too few checkpoints.
    """
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.device.ranks import Ranks
    from sapwood.training.average import Merged
    from sapwood.training.checkpoint import read_state

    shares = [1.0] if with_base is None else sorted(set(with_base))
    target = None if output is None else Path(output)
    _check(last, decay, ema, with_base, target, shares)
    opened = open_run(run)
    recipe, directory = opened.recipe, opened.directory
    backbone = resolve(recipe.model, default_cache())
    saved = _checkpoints(directory, last or 1)
    newest = read_state(saved[-1])
    last_weights = Merged.of(recipe, backbone, saved[-1:], None)
    merged = Merged.ema(recipe, backbone, saved[-1]) if ema else Merged.of(recipe, backbone, saved, decay)
    with writing(directory.root):
        base = evaluate_base(recipe, directory)
        for part, share in [(last_weights, 1.0), *((merged, share) for share in shares)]:
            label, identity = label_of(newest.name, part.series, share), fingerprint([base.model, part.identity, share])
            load = partial(part.model, share)
            measure_model(recipe, directory, load, label, identity, tokens=newest.tokens, in_full=False)
        if not Ranks.join().first:
            return None
        points = read_points(recipe, directory.evaluation, newest.name, base)
        page = write_merge_page(recipe, directory.root, points)
    if target is not None:
        with hold(target, replaced=True):
            merged.write(shares[0], target)
    averaged = [
        AveragedCheckpoint(path, weight, state.tokens, state.learning_rate)
        for path, weight in merged.counts.items()
        for state in [read_state(path)]
    ]
    stages = _stages(list(merged.counts), opened.ledger)
    return MergeResult(tuple(averaged), stages, tuple(points), page, target)


def _check(
    last: int | None,
    decay: str | None,
    ema: bool,
    with_base: Sequence[float] | None,
    output: Path | None,
    shares: Sequence[float],
) -> None:
    if with_base is not None and not (shares and 0 < shares[0] <= shares[-1] <= 1):
        given = argument("with_base", tuple(with_base))
        raise SapwoodError(f"{given}: shares lie above 0 (base model) and go to 1 (merged weights).")
    if last is None and not ema and with_base is None:
        ways = [argument("last", 8), argument("ema", True), argument("with_base", (0.25, 0.5, 0.75, 1.0))]
        raise SapwoodError(f"Write what to merge: {', '.join(ways[:2])}, or {ways[2]}.")
    if last is not None and ema:
        raise SapwoodError(f"{argument('last')} and {argument('ema')} exclude each other: write one of them.")
    if decay is not None and last is None:
        raise SapwoodError(
            f"{argument('decay')} weighs checkpoints: write over how many, such as {argument('last', 8)}."
        )
    if output is not None and output.exists():
        raise SapwoodError(f"There is something at {output}: name a directory that does not exist yet.")
    if output is not None and len(shares) > 1:
        raise SapwoodError(
            f"{argument('output')} writes one model, and {argument('with_base')} names {len(shares)}: "
            "choose one by the table."
        )


def _checkpoints(run: RunDirectory, count: int) -> list[Path]:
    """The newest `count` checkpoints of a run, oldest first."""
    from sapwood.training.checkpoint import checkpoints

    saved = checkpoints(run.checkpoints)
    if len(saved) < count:
        raise SapwoodError(
            f"{run.checkpoints} holds {len(saved)} of the {count} checkpoints that are to be merged. How many are kept "
            "is said by `training.checkpoints.keep`."
        )
    return saved[-count:]


def _stages(averaged: Sequence[Path], ledger: Ledger) -> tuple[str, str] | None:
    """The stages that an average reaches from and to, where they differ."""
    from sapwood.training.checkpoint import read_state

    first = ledger.at(read_state(averaged[0]).position)  # of what is trained from the oldest one on
    last = ledger.at(read_state(averaged[-1]).position - 1)
    return None if first is None or last is None or first.stage == last.stage else (first.stage, last.stage)
