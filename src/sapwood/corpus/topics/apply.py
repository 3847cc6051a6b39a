"""Gives every document its topic."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from datatrove.data import Document

from sapwood.corpus.annotate import Step
from sapwood.corpus.block import Annotator, is_filtered
from sapwood.corpus.store import TOPICS
from sapwood.corpus.topics.train import Classifier, check_words, describe

_BATCH = 256


class TopicLabels(Annotator):
    """Names the likeliest topic; where that is not likely enough, the topic of the rest."""

    columns: ClassVar[dict[str, pa.DataType]] = {"topic": pa.string(), "topic_confidence": pa.float32()}

    def __init__(self, classifier: Path, confidence: float, rest: str) -> None:
        """`classifier` is the directory of the classifier, which every process reads for itself."""
        super().__init__()
        self.classifier = classifier
        self.confidence = confidence
        self.rest = rest

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = iter(data or ())
        while batch := list(itertools.islice(documents, _BATCH)):
            self._label([document for document in batch if not is_filtered(document)])
            yield from batch

    def annotate(self, document: Document) -> None:
        self._label([document])

    def _label(self, documents: list[Document]) -> None:
        classifier = _load(self.classifier)
        for document, shares in zip(
            documents, classifier.probabilities([document.text for document in documents]), strict=True
        ):
            best = int(shares.argmax())
            sure = shares[best] >= self.confidence
            document.metadata["topic"] = classifier.topics[best] if sure else self.rest
            document.metadata["topic_confidence"] = float(shares[best])


def topics_step(classifier: Path, confidence: float, after: tuple[str, ...]) -> Step:
    """The step that labels a source's documents with the classifier in a directory. Raises SapwoodError if none is."""
    check_words(classifier)
    description = describe(classifier)
    return Step(
        name=TOPICS,
        annotator=TopicLabels(classifier, confidence, description["rest"]),
        settings={"classifier": description["trained_on"], "confidence": confidence},
        after=after,
    )


@lru_cache(maxsize=1)
def _load(classifier: Path) -> Classifier:
    return Classifier.load(classifier)
