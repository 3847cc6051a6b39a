"""What an evaluation leaves: every document's likelihood, so that all statistics can be redone without the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import read_json, reading, write_json
from sapwood.statistics.estimate import Estimate, ratio

BASE = "base"
"""The label of the base model's evaluation."""
ADAPTED = "model"
"""The label of the adapted model."""


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """How well a model predicts one held-out document."""

    id: str
    bytes: int
    """UTF-8 bytes of the text that was scored."""
    tokens: int
    """Tokens that were predicted."""
    nats: float
    """The sum of -log p over them."""


@dataclass(frozen=True, slots=True)
class DomainScore:
    """How well a model predicts a source."""

    documents: tuple[DocumentScore, ...]

    @property
    def bits_per_byte(self) -> Estimate:
        """Bits per UTF-8 byte, over all documents."""
        return ratio([d.nats / math.log(2) for d in self.documents], [d.bytes for d in self.documents])

    @property
    def perplexity(self) -> float:
        """Per token; comparable only between models of the same tokenizer."""
        return math.exp(sum(d.nats for d in self.documents) / sum(d.tokens for d in self.documents))


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that the model continued."""

    domain: str
    prompt: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model, measured."""

    label: str
    """`base`, `step-00000120`, `model`."""
    model: str
    """The fingerprint of the weights."""
    tokens: int
    """Tokens trained on when it was measured."""
    settings: dict[str, Any]
    """What decides the numbers: two evaluations can be compared only when these agree."""
    domains: dict[str, DomainScore]
    """By source and, where the topics of a source are domains of their own, by `SOURCE/TOPIC` too."""
    samples: tuple[Sample, ...] = ()
    seconds: float = 0.0

    def write(self, directory: Path) -> None:
        """Writes `LABEL.json`."""
        record = asdict(self)
        for name, score in self.domains.items():
            level = score.bits_per_byte
            record["domains"][name] = {
                "bits_per_byte": level.value,
                "standard_error": None if math.isnan(level.standard_error) else level.standard_error,
                "perplexity": score.perplexity,
                **record["domains"][name],
            }
        write_json(directory / f"{self.label}.json", record, sealed=True)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Evaluation:
        """Reads what `write` wrote."""
        domains = {
            name: DomainScore(tuple(DocumentScore(**document) for document in domain["documents"]))
            for name, domain in record["domains"].items()
        }
        samples = tuple(Sample(**sample) for sample in record["samples"])
        return Evaluation(**{**record, "domains": domains, "samples": samples})


def read_evaluation(path: Path) -> Evaluation:
    """Reads what `Evaluation.write` wrote. Raises SapwoodError where it is not there, or damaged."""
    if not path.exists():
        raise SapwoodError(f"There is no evaluation {path}. `sapwood evaluate` writes it.")
    remedy = f"Remove {path}: `sapwood evaluate` measures the model again."
    record = read_json(path, remedy)
    with reading(path, remedy):
        return Evaluation.from_json(record)
