"""The model that is put to the test, and how it reads and writes text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import AUTO
from sapwood.device.precision import autocast_type
from sapwood.likelihood.documents import BATCH_LOGITS, BATCH_TOKENS, WINDOW, DocumentModel


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model on the device of this process, with its tokenizer."""

    model: PreTrainedModel
    encoder: Encoder
    """It knows how prompts begin (`Encoder.delimiters`)."""
    ends: tuple[int, ...]
    """The tokens that end a text."""
    window: int
    """The most tokens that are read at a time."""
    batch_tokens: int
    """Tokens in a padded batch that is scored, at most."""
    autocast: torch.dtype | None
    """The arithmetic, if not that of the weights."""

    @staticmethod
    def open(
        directory: Path, precision: Literal["auto", "bf16", "fp32"] = "auto", *, begin: str = AUTO, end: str = AUTO
    ) -> EvaluatedModel:
        """Loads the model in a directory, on this process's GPU or the CPU. `auto` is bf16 where it is fast.

        Texts begin and end as its tokenizer does it, or with the tokens spelled `begin` and `end`.
        """
        encoder = Encoder.load(directory, begin, end)
        model = DocumentModel.open(directory, encoder.delimiters).model
        return EvaluatedModel.of(model, encoder, autocast_type(precision, model.device))

    @staticmethod
    def of(model: PreTrainedModel, encoder: Encoder, autocast: torch.dtype | None) -> EvaluatedModel:
        """A model that is loaded already, such as one in training, with its tokenizer.

        Raises SapwoodError for a model that sees the tokens it predicts.
        """
        refuse_sight_ahead(model.config, type(model).__name__)
        config = model.config.get_text_config()
        device = model.device.type
        return EvaluatedModel(
            model=model,
            encoder=encoder,
            ends=tuple(sorted({encoder.delimiters.end, *_ends(model)})),
            window=min(getattr(config, "max_position_embeddings", None) or WINDOW, WINDOW),
            batch_tokens=min(BATCH_TOKENS[device], BATCH_LOGITS[device] // config.vocab_size),
            autocast=autocast,
        )

    @property
    def precision(self) -> str:
        """The arithmetic, in words."""
        return str(self.autocast or self.model.dtype).removeprefix("torch.")


def _ends(model: PreTrainedModel) -> list[int]:
    """What the model's own settings for generation name: chat models end a turn with another token than a text."""
    named = getattr(model.generation_config, "eos_token_id", None)
    return [] if named is None else list(named) if isinstance(named, list | tuple) else [named]
