"""A run looked up after the fact: where its tokens went, which documents a step trained on, and whether it replays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError, argument
from sapwood.mixture.account import Account
from sapwood.mixture.audit import Known, Spike, Use, documents_of, look_up, positions_of, spikes, uses_of
from sapwood.mixture.audit import replay as replay_steps
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import source_of
from sapwood.pipeline.handle import Run, open_begun, open_run
from sapwood.progress import track
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import reached, read_metrics

SHOWN_DIGITS = 12
"""So much of an id is shown, and enough to look it up: two of a million documents share it once in 560 corpora."""
LEAST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a run."""

    documents: tuple[tuple[Use, Known], ...]
    """Pieces of documents in the order of training, each with what is known of its document."""
    spikes: tuple[Spike, ...]
    """The steps whose loss stands out, the worst first; empty where they were not asked for."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was read once more, and is what was trained on."""

    rounds: int
    steps: int
    sequences: int
    tokens: int


def account(recipe: Run | Recipe | str | Path) -> Account:
    """Where every token of a run came from and went to, as far as it has got. Reads manifests and the ledger alone.

    What does not balance stands in `Account.off`. Raises SapwoodError where there is no run, and where its ledger lacks
    rounds.
    """
    run = open_run(recipe)
    if not run.directory.root.is_dir():
        raise SapwoodError(f"There is no run in {run.directory.root}. `sapwood run` or `sapwood prepare` begins one.")
    run.ledger.require(reached(run.directory.metrics), run.directory.metrics)
    return run.view.account


def audit(
    run: Run | str | Path, *, step: int | None = None, document: str | None = None, spike: int | None = None
) -> Audit:
    """Looks up the documents of a `step`, or the steps that trained on a `document`, or the steps that stood out.

    `document` is an id, or its beginning. With `spike`, that many steps whose loss stood out, and the documents of the
    worst of them. Raises SapwoodError where not exactly one is asked for, where the run has not begun to train, and
    where there is no such step or document.
    """
    if sum(asked is not None for asked in (step, document, spike)) != 1:
        raise SapwoodError(
            f"Say what to look up: one of {argument('step')}, {argument('document')} and {argument('spike')}."
        )
    directory, stream = _begun(run)
    steps = read_metrics(directory.metrics)
    if document is not None:
        if not LEAST_DIGITS <= len(document) <= 32 or set(document) - set("0123456789abcdef"):
            raise SapwoodError(
                f"'{document}' is no document id: ids are 32 hexadecimal digits, of which {argument('step')} lists the "
                f"first {SHOWN_DIGITS}; {LEAST_DIGITS} are enough where no other id begins with them."
            )
        return Audit(_known(directory, stream, uses_of(stream, steps, document)), ())
    worst: list[Spike] = []
    if spike is not None:
        worst = spikes(steps, spike)
        if not worst:
            raise SapwoodError("Too few steps were logged to tell which stand out.")
        step = worst[0].step
    assert step is not None
    return Audit(_known(directory, stream, documents_of(stream, step, positions_of(steps, step))), tuple(worst))


def replay(run: Run | str | Path) -> Replayed:
    """Reads all that a run trained on once more, from its ledger, and proves that it is what was trained on.

    Raises SapwoodError at the first step whose documents, or their order, are not what they were, and where the run
    has not begun to train.
    """
    directory, stream = _begun(run)
    steps = read_metrics(directory.metrics)
    position = steps[-1].position if steps else 0
    with track("Replaying", position) as advance:
        replay_steps(stream, steps, advance)
    rounds = sum(entry.start < position for entry in stream.ledger.rounds)
    return Replayed(rounds, len(steps), position, stream.ledger.tokens_until(position))


def _begun(run: Run | str | Path) -> tuple[RunDirectory, Stream]:
    return open_begun(run.directory.root if isinstance(run, Run) else Path(run))


def _known(run: RunDirectory, stream: Stream, uses: Iterable[Use]) -> tuple[tuple[Use, Known], ...]:
    """The uses, each with what is known of its document."""
    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.pipeline.prepare import open_encoder
    from sapwood.recipe import load_recipe

    found, recipe = list(uses), load_recipe(run.recipe)
    encoder = open_encoder(recipe, resolve(recipe.model, default_cache()))
    known = look_up(partial(store_of, run), stream, found, encoder)
    return tuple((use, known[source_of(use.domain), use.document]) for use in found)
