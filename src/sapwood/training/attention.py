"""Which way of keeping packed documents apart is right for a model: found by trying, not by its name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone.causal import TOLERANCE, refuse_sight_ahead
from sapwood.backbone.observe import observed
from sapwood.backbone.traits import Way
from sapwood.errors import SapwoodError
from sapwood.mixture.stream import Sequence
from sapwood.tokens.sequence import Span
from sapwood.training.batch import Batch, make_batch
from sapwood.training.isolation import keep_apart, way_of
from sapwood.training.loss import next_token_losses, token_losses

WAYS: tuple[Way, ...] = ("bounds", "positions", "rows")
"""What is tried, the cheapest first."""
LENGTHS = (12, 1, 9, 2, 13, 7)
"""Tokens of the documents to look at: one that has a single token, and such as are longer than the windows and chunks
of a small model."""
ORDERS = ((0, 1, 2, 3, 4, 5), (2, 0, 1, 5, 3, 4))
"""How they are packed into two rows, three a row: each has other neighbours in the second."""

TOGETHER = (
    "lets the documents of a batch see each other whatever it is told, even one a row. Write "
    "`training.isolate_documents: false`, and they do so by intention, or name another model."
)


@dataclass(frozen=True, slots=True)
class Isolation:
    """What keeps the packed documents of a kind of model apart."""

    ways: tuple[Way, ...]
    """All that do, the cheapest first."""
    why: str | None = None
    """Why none does; or why none could be looked at, and the one that is right in all causal models was taken."""

    @property
    def in_other_trainers(self) -> Way | None:
        """The cheapest way that needs nothing of ours."""
        return next((way for way in self.ways if way != "bounds"), None)

    def check(self, name: str, *, isolate_documents: bool) -> None:
        """Raises SapwoodError where a model, called `name`, cannot be trained so."""
        if isolate_documents and not self.ways:
            raise SapwoodError(f"{name} {self.why}")


def attend_by_document(model: PreTrainedModel, *, isolate_documents: bool = True, fits: bool = True) -> None:
    """Lets a model keep documents apart, in the cheapest way that is right for its kind.

    `fits` says whether the kernel that takes bounds can be used where the model will run. Raises SapwoodError where no
    way is right, if documents are to be isolated, and where a model sees what it predicts.
    """
    refuse_sight_ahead(model.config, type(model).__name__)
    found = isolation(model.config)
    found.check(type(model).__name__, isolate_documents=isolate_documents)
    keep_apart(model, next((way for way in found.ways if fits or way != "bounds"), "rows"))


def isolation(config: PretrainedConfig) -> Isolation:
    """What keeps the packed documents of the models of a configuration apart, observed on a small one."""
    found: dict[str, Any] = observed(config, "isolation", look_at_isolation)
    if "unknown" in found:
        return Isolation(("rows",), found["unknown"])
    return Isolation(tuple(found["ways"]), found.get("why"))


@torch.no_grad()
def look_at_isolation(model: PreTrainedModel) -> dict[str, Any]:
    """Compares the losses of all tokens of packed documents, with several neighbours, with those of each alone."""
    documents = _documents(model)
    usual = model.config._attn_implementation
    keep_apart(model, "rows")
    try:
        alone = [token_losses(model, _packed([document]))[0] for document in documents]
    except Exception as error:  # of many kinds, none of them documented
        return {"unknown": f"{type(error).__name__}: {error}"[:300]}
    right = []
    for way in WAYS:
        with suppress(Exception):  # a way that the model does not know
            keep_apart(model, way)
            if all(_are_apart(model, documents, alone, order) for order in ORDERS):
                right.append(way)
        model.set_attn_implementation(usual)
    return {"ways": right} if right else {"ways": [], "why": TOGETHER}


def _documents(model: PreTrainedModel) -> list[np.ndarray]:
    """Documents of random tokens; they end in the token that pads, where there is one, as many models' texts do."""
    config = model.config.get_text_config(decoder=True)
    rng = np.random.default_rng(0)
    last = getattr(config, "pad_token_id", None)
    documents = [rng.integers(0, config.vocab_size, length) for length in LENGTHS]
    for document in documents:
        document[-1] = document[-1] if last is None else last
    return documents


def _packed(*rows: list[np.ndarray]) -> Batch:
    sequences = []
    for documents in rows:
        offsets = np.cumsum([0, *map(len, documents)]).tolist()
        spans = tuple(Span(0, 0, len(document), offset) for document, offset in zip(documents, offsets, strict=False))
        sequences.append(Sequence(0, "", 0, np.concatenate(documents), spans))
    return make_batch(sequences, isolate_documents=True)


def _are_apart(
    model: PreTrainedModel, documents: list[np.ndarray], alone: list[torch.Tensor], order: tuple[int, ...]
) -> bool:
    """Whether documents, packed in an order, have the losses that each has alone."""
    half = len(order) // 2
    batch = _packed(*([documents[number] for number in part] for part in (order[:half], order[half:])))
    expected = torch.cat([alone[number] for number in order]).view_as(batch.tokens)
    if way_of(model) == "rows":  # which tells sequences apart, and not tokens
        return _equal(next_token_losses(model, batch, None)[1] / batch.tokens.shape[1], expected.mean(1))
    return _equal(token_losses(model, batch), expected)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(((one - other).abs() <= TOLERANCE).all())
