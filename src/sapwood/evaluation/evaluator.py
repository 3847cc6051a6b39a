"""The held-out evaluator of a run: the same held-out texts, scored in the same way, for every model that is held
against it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from sapwood.backbone.encode import Encoder
from sapwood.corpus.store import SourceStore
from sapwood.device.ranks import Ranks
from sapwood.evaluation.bits import Texts, score_texts
from sapwood.evaluation.held_out import HeldOutText, held_out_texts
from sapwood.evaluation.result import Evaluation
from sapwood.evaluation.samples import generate_samples
from sapwood.files import fingerprint
from sapwood.recipe.check import split_by_topic
from sapwood.recipe.schema import Recipe


@dataclass(frozen=True, slots=True)
class HeldOutEvaluator:
    """What is measured, and how."""

    recipe: Recipe
    texts: Texts
    encoder: Encoder
    autocast: torch.dtype | None

    @staticmethod
    def open(
        recipe: Recipe, corpora: Mapping[str, SourceStore], model_directory: Path, autocast: torch.dtype | None
    ) -> HeldOutEvaluator:
        """Chooses the held-out texts of every prepared source, and of its topics where those are domains of their own.

        The tokenizer is that of `model_directory`, and texts begin as the recipe says. On several ranks this is a
        collective: the first one reads the documents, which are all that there are, and sends the others what it chose.
        Raises SapwoodError, on all of them, where a source has no held-out document.
        """
        chosen = Ranks.joined().of_first(lambda: _chosen(recipe, corpora))
        return HeldOutEvaluator(
            recipe=recipe,
            texts={name: [HeldOutText(*text) for text in part] for name, part in chosen.items()},
            encoder=Encoder.load(model_directory, recipe.tokenizer.begin, recipe.tokenizer.end),
            autocast=autocast,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the model that decides the numbers."""
        return {
            "window": self.recipe.sequence_length,
            "begin": list(self.encoder.delimiters.begin),
            "precision": "fp32" if self.autocast is None else str(self.autocast).removeprefix("torch."),
            "document_bytes": self.recipe.evaluation.document_bytes,
            "documents": {name: fingerprint([text.id for text in chosen]) for name, chosen in self.texts.items()},
        }

    def measure(
        self, model: PreTrainedModel, *, label: str, model_fingerprint: str, tokens: int, with_samples: bool = False
    ) -> Evaluation:
        """Measures a model that has been trained on `tokens` tokens."""
        started = time.monotonic()
        domains = score_texts(
            model,
            self.encoder,
            self.texts,
            window=self.recipe.sequence_length,
            autocast=self.autocast,
            title=f"Measuring {label}",
        )
        samples = generate_samples(model, self.encoder, self.texts, self.recipe) if with_samples else ()
        return Evaluation(
            label=label,
            model=model_fingerprint,
            tokens=tokens,
            settings=self.settings,
            domains=domains,
            samples=samples,
            seconds=time.monotonic() - started,
        )


def _chosen(recipe: Recipe, corpora: Mapping[str, SourceStore]) -> dict[str, list[tuple[str, str]]]:
    """Ids and texts, by what they are held out of."""
    evaluation, divided = recipe.evaluation, split_by_topic(recipe)
    texts: dict[str, list[HeldOutText]] = {}
    for source, store in corpora.items():
        limits = (evaluation.bytes, evaluation.document_bytes)
        texts |= held_out_texts(store, *limits, by_topic=source in divided)
    return {name: [(text.id, text.text) for text in part] for name, part in texts.items()}
