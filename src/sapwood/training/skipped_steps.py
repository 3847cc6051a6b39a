"""What is done about steps that the guard skipped: they are named, counted, and gone on from."""

from __future__ import annotations

from collections.abc import Sequence

from sapwood.errors import SapwoodError
from sapwood.files import append_line
from sapwood.mixture.audit import documents_of
from sapwood.mixture.ledger import SkippedStep
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import source_of
from sapwood.progress import console
from sapwood.recipe.schema import Guard
from sapwood.runs.directory import RunDirectory
from sapwood.training.log import Bad

STRETCH = 1000
"""Steps among which `limit` of them may be skipped."""


def note(bad: Sequence[Bad], settings: Guard, stream: Stream, run: RunDirectory, *, write: bool) -> None:
    """Notes in the ledger that steps were left out, and, on the rank that may `write`, names their documents.

    Raises SapwoodError where there are more of them than the recipe's limit.
    """
    ledger = stream.ledger
    for step in bad:
        reason = f"loss {step.loss:.4g}, gradient norm {step.gradient_norm:.4g}"
        skipped = SkippedStep(settings.action, step.step, step.positions.start, step.positions.stop, reason)
        if ledger.note(skipped) and write:
            for source, document in _documents(stream, step):
                record = {"step": step.step, "source": source, "document": document, "reason": reason}
                append_line(run.skipped, record, durable=False)
        console.print(f"Step {step.step:,} was skipped: {reason}. Its documents are named in {run.skipped}.")
    last = max(skipped.step for skipped in ledger.skipped_steps)
    recent = [skipped for skipped in ledger.skipped_steps if skipped.step > last - STRETCH]
    if len(recent) > settings.limit:
        lines = "\n".join(f"  step {skipped.step:,}: {skipped.reason}" for skipped in recent)
        raise SapwoodError(
            f"{len(recent)} of the last {STRETCH:,} steps were skipped, and training.guard.limit is "
            f"{settings.limit}:\n{lines}\nThe last checkpoint is intact. If these losses rise step by step, the "
            "learning rate is too high; if they come out of nothing, look at the documents in "
            f"{run.skipped.name}."
        )


def _documents(stream: Stream, step: Bad) -> list[tuple[str, str]]:
    found = dict.fromkeys(
        (source_of(use.domain), stream.epochs[use.domain].store.document_id(use.document))
        for use in documents_of(stream, step.step, step.positions)
    )
    return list(found)
