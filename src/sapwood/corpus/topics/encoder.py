"""A transformer encoder as classifier, such as the paper's TinyBERT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sapwood.backbone.load import LOCAL, quiet_progress
from sapwood.errors import SapwoodError

EPOCHS = 3
BATCH = 32
LEARNING_RATE = 5e-5
"""Linear to zero, as is usual for encoders of this kind."""
LONGEST = 512
"""Tokens of a text's beginning that are looked at, at most."""

_DIRECTORY = "encoder"


class EncoderClassifier:
    """A fine-tuned encoder with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)

    @staticmethod
    def fit(directory: Path, texts: Sequence[str], topics: npt.NDArray[np.int64], count: int) -> EncoderClassifier:
        """Fine-tunes the encoder in a Hugging Face directory. The same labels give the same weights on one device.

        Raises SapwoodError where the directory holds no encoder that can be read.
        """
        torch.manual_seed(0)
        try:
            with quiet_progress():
                tokenizer = AutoTokenizer.from_pretrained(directory, **LOCAL)
                model = AutoModelForSequenceClassification.from_pretrained(
                    directory, num_labels=count, ignore_mismatched_sizes=True, use_safetensors=True, **LOCAL
                )
        except Exception as error:  # of many kinds, none of them documented
            raise SapwoodError(f"The encoder in {directory} cannot be loaded: {error}") from None
        classifier = EncoderClassifier(model, tokenizer)
        steps = EPOCHS * -(-len(texts) // BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        generator = torch.Generator().manual_seed(0)
        model.train()
        for _ in range(EPOCHS):
            order = torch.randperm(len(texts), generator=generator).tolist()
            for batch in _batches(order):
                logits = classifier._forward([texts[number] for number in batch])
                wanted = torch.from_numpy(topics[batch]).to(classifier.device)
                torch.nn.functional.cross_entropy(logits, wanted).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
        model.eval()
        return classifier

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unnormalised log probabilities, `[texts, topics]`."""
        self.model.eval()
        # Texts of like length go together, so that little of a batch is padding.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found = np.empty((len(texts), self.model.config.num_labels), np.float32)
        with torch.no_grad():
            for batch in _batches(order):
                found[batch] = self._forward([texts[number] for number in batch]).float().cpu().numpy()
        return found

    def save(self, directory: Path) -> None:
        """Writes model and tokenizer."""
        self.model.save_pretrained(directory / _DIRECTORY, safe_serialization=True)
        self.tokenizer.save_pretrained(directory / _DIRECTORY)

    @staticmethod
    def load(directory: Path) -> EncoderClassifier:
        """Reads what `save` has written."""
        path = directory / _DIRECTORY
        with quiet_progress():
            tokenizer = AutoTokenizer.from_pretrained(path, **LOCAL)
            model = AutoModelForSequenceClassification.from_pretrained(path, use_safetensors=True, **LOCAL)
        return EncoderClassifier(model.eval(), tokenizer)

    def _forward(self, texts: list[str]) -> torch.Tensor:
        longest = min(LONGEST, getattr(self.model.config, "max_position_embeddings", LONGEST))
        inputs = self.tokenizer(texts, truncation=True, max_length=longest, padding=True, return_tensors="pt")
        logits: torch.Tensor = self.model(**inputs.to(self.device)).logits
        return logits


def _batches(order: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
