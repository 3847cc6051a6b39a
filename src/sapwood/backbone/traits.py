"""What was observed of a model before it is trained: for the plan, the ledger and the model card. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Way = Literal["bounds", "positions", "rows"]
"""How packed documents are kept apart: by an attention that is told their bounds; by positions that begin again, from
which transformers makes a mask; by one document a row."""
ISOLATED: dict[str, str] = {
    "bounds": "by an attention that is told where they begin",
    "positions": "by positions that begin again, from which transformers makes a mask",
    "rows": "by a row for each, padded",
}


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What a model does, as it was observed on a small one of the same configuration."""

    attention: str
    """The attention of transformers that its class supports: `sdpa`, or else `eager`."""
    isolation: Way | None
    """How it keeps packed documents apart; None where nothing does."""
    in_other_trainers: Way | None
    """How it does so without an attention of ours."""
    chunked_loss: bool
    """Whether the output head alone gives the loss, so that it can be computed in chunks."""
    unseen: str | None = None
    """Why nothing could be observed, where so, and what is right in all causal models was taken."""
    experts: int = 0
    """How many experts its layers choose from; 0 where they have none."""

    begin: str | None = None
    """What its texts begin with in the run, as it is spelled, and "" for nothing; None where that was not written."""
    end: str | None = None
    """The token that they end with."""

    def to_json(self) -> dict[str, Any]:
        """The record, as it stands in the ledger."""
        return asdict(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> ModelTraits:
        """Reads a record."""
        return ModelTraits(**{name: record[name] for name in ModelTraits.__slots__ if name in record})

    def sentences(self, *, isolate_documents: bool, chunked: bool) -> Iterator[str]:
        """What follows from it for training with these settings, for people."""
        if self.begin is not None and self.end is not None:
            yield f"Texts begin with {self.begin or 'nothing'} and end with {self.end}."
        if not isolate_documents:
            yield "Documents packed into one sequence see each other, as in the paper."
        elif self.isolation is not None:
            yield f"Documents packed into one sequence do not see each other: {ISOLATED[self.isolation]}."
        loss = "in chunks" if chunked and self.chunked_loss else "of whole logits"
        why = "" if self.chunked_loss or not chunked else ", since its output head alone was not seen to give the same"
        where = ", where its layers have any" if self.attention == "eager" else ""
        yield f"The loss is computed {loss}{why}; attention{where}: {self.attention}."
        if self.unseen is not None:
            yield f"No small model of this kind could be looked at ({self.unseen}), so the safest way was taken."
        if self.experts:
            yield (
                f"Its layers choose from {self.experts} experts: they are trained without an auxiliary loss, whatever "
                "its config.json says of one, so nothing keeps the experts evenly used."
            )
