"""Makes a classifier of labels, and measures it on labels that it was not trained on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sapwood.corpus.characters import WORDS_VERSION
from sapwood.corpus.ngrams import character_values, ngram_hashes, tokenise
from sapwood.corpus.topics.label import Label, Taxonomy
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, fingerprint, read_json, write_json
from sapwood.statistics.proportion import wilson

CHARACTERS = 4000
"""How much of a text's beginning is looked at."""
BITS = 18
"""The features are this many bits of the hashes."""

_WORD_NGRAMS = (1, 2, 3)
_CHARACTER_NGRAMS = (4,)
_WEIGHTS = "weights.safetensors"
_INVERSE_REGULARISATION = 30.0

Float32s = npt.NDArray[np.float32]


class LinearClassifier:
    """Multinomial logistic regression over log counts of hashed n-grams, weighted by their rarity (TF-IDF)."""

    def __init__(self, weights: Float32s, bias: Float32s, rarity: Float32s) -> None:
        """`weights` are `[features, topics]`, `bias` `[topics]`, `rarity` `[features]`."""
        self.weights = weights
        self.bias = bias
        self.rarity = rarity

    @staticmethod
    def fit(texts: Sequence[str], topics: npt.NDArray[np.int64], count: int) -> LinearClassifier:
        """Trains on texts with the numbers of their topics, below `count`. The same labels give the same weights."""
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        features = [_features(text) for text in texts]
        columns = np.concatenate([found for found, _ in features])
        values = np.concatenate([found for _, found in features])
        starts = np.cumsum([0, *(len(found) for found, _ in features)])
        in_texts = np.bincount(columns, minlength=1 << BITS)
        rarity = np.log((1 + len(texts)) / (1 + in_texts)).astype(np.float32) + 1
        # Features that no label has need no weight, and would make the solver's vectors many times longer.
        seen, inside = np.unique(columns, return_inverse=True)
        matrix = csr_matrix((values * rarity[columns], inside, starts), shape=(len(texts), len(seen)))
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        matrix = csr_matrix(matrix.multiply((1 / np.maximum(norms, 1e-12))[:, None]))
        model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=300).fit(matrix, topics)
        weights, bias = np.zeros((1 << BITS, count), np.float32), np.full(count, -30.0, np.float32)
        if len(model.classes_) == 2:  # one row of coefficients stands for both
            weights[np.ix_(seen, model.classes_)] = np.stack([-model.coef_[0], model.coef_[0]], axis=1) / 2
            bias[model.classes_] = np.array([-model.intercept_[0], model.intercept_[0]]) / 2
        else:
            weights[np.ix_(seen, model.classes_)] = model.coef_.T
            bias[model.classes_] = model.intercept_
        return LinearClassifier(weights, bias, rarity)

    def logits(self, texts: Sequence[str]) -> Float32s:
        """Unnormalised log probabilities, `[texts, topics]`."""
        found = [self._logits(text) for text in texts]
        return np.stack(found) if found else np.empty((0, len(self.bias)), np.float32)

    def _logits(self, text: str) -> Float32s:
        columns, values = _features(text)
        weighted = values * self.rarity[columns]
        length = np.float32(max(float(np.linalg.norm(weighted)), 1e-12))
        scores: Float32s = (weighted @ self.weights[columns] / length + self.bias).astype(np.float32)
        return scores

    def save(self, directory: Path) -> None:
        """Writes the weights."""
        from safetensors.numpy import save_file

        tensors = {"weights": self.weights, "bias": self.bias, "rarity": self.rarity}
        save_file(tensors, directory / _WEIGHTS)

    @staticmethod
    def load(directory: Path) -> LinearClassifier:
        """Reads what `save` has written."""
        from safetensors.numpy import load_file

        from sapwood.files import reading

        with reading(directory / _WEIGHTS, f"Remove {directory}, and run `sapwood topics train`."):
            tensors: dict[str, Any] = load_file(directory / _WEIGHTS)
        return LinearClassifier(tensors["weights"], tensors["bias"], tensors["rarity"])


def _features(text: str) -> tuple[npt.NDArray[np.int64], Float32s]:
    """The numbers of a text's features, each once, and the logs of their counts."""
    beginning = text[:CHARACTERS]
    words = tokenise(beginning).hashes
    characters = character_values(beginning)
    hashes = [ngram_hashes(words, n) for n in _WORD_NGRAMS] + [ngram_hashes(characters, n) for n in _CHARACTER_NGRAMS]
    found, counts = np.unique(np.concatenate(hashes) >> np.uint64(64 - BITS), return_counts=True)
    return found.astype(np.int64), np.log1p(counts).astype(np.float32)


CLASSIFIER = "classifier"
"""The directory of the classifier in a taxonomy's directory."""
DESCRIPTION = "classifier.json"
REPORT = "report.json"

HELD_OUT = 0.2
"""The share of the labels by which a classifier is judged."""

_LOG_TEMPERATURES = (np.log(0.25), np.log(20))
"""Where few labels are all guessed rightly, any sharpening looks good; this is the most that is believed."""

Floats = npt.NDArray[np.float64]


class Model(Protocol):
    """What a classifier can do, of whatever kind."""

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unnormalised log probabilities, `[texts, topics]`."""

    def save(self, directory: Path) -> None:
        """Writes the model."""


class Classifier:
    """A trained model with the topics that it tells apart, and how sure it is to be taken."""

    def __init__(self, model: Model, topics: Sequence[str], temperature: float) -> None:
        self.model = model
        self.topics = list(topics)
        self.temperature = temperature

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """How likely each topic is, `[texts, topics]`."""
        return _softmax(self.model.logits(texts) / self.temperature)

    @staticmethod
    def load(directory: Path) -> Classifier:
        """Reads a classifier. Raises SapwoodError where there is none."""
        description = describe(directory)
        if description["kind"] == "linear":
            model: Model = LinearClassifier.load(directory)
        else:
            from sapwood.corpus.topics.encoder import EncoderClassifier

            model = EncoderClassifier.load(directory)
        return Classifier(model, description["topics"], description["temperature"])


def train_classifier(
    labels: Sequence[Label], taxonomy: Taxonomy, directory: Path, *, confidence: float, encoder: Path | None = None
) -> dict[str, Any]:
    """Trains a classifier into `directory`, and returns what it is worth: `report.json` beside it.

    A fifth of the labels, the same share of every topic, is held out; on it are measured the accuracy (with its 95%
    interval, Wilson), precision, recall and F1 of every topic, and what falls below `confidence`. The temperature by
    which probabilities are calibrated is fitted there too (Guo et al., arXiv 1706.04599). The classifier that is kept
    is then trained on all labels.

    Raises SapwoodError where the labels are of one topic alone.
    """
    topics = np.array([taxonomy.names.index(label.topic) for label in labels], np.int64)
    texts = [label.text for label in labels]
    if len(np.unique(topics)) < 2:
        raise SapwoodError(
            f"The {len(labels)} labels of {taxonomy.name} are of {len(np.unique(topics))} topics; two are the least. "
            "Label a larger or a more varied sample."
        )
    trained, held_out = _split(topics)
    started = time.monotonic()
    model = _fit([texts[number] for number in trained], topics[trained], len(taxonomy.topics), encoder)
    logits = model.logits([texts[number] for number in held_out])
    temperature = _fit_temperature(logits, topics[held_out])
    timed = time.perf_counter()
    Classifier(model, taxonomy.names, temperature).probabilities([texts[number] for number in held_out])
    seconds = (time.perf_counter() - timed) / max(1, len(held_out))
    report = {
        "taxonomy": taxonomy.name,
        "kind": "linear" if encoder is None else "encoder",
        "labels": len(labels),
        "held_out": len(held_out),
        "seconds_per_document": seconds,
        "confidence": confidence,
        **_measured(_softmax(logits / temperature), topics[held_out], taxonomy.names, confidence),
    }
    whole = _fit(texts, topics, len(taxonomy.topics), encoder)
    report["training_seconds"] = round(time.monotonic() - started, 3)
    with atomic_directory(directory) as temporary:
        whole.save(temporary)
        write_json(temporary / REPORT, report, sealed=True)
        write_json(
            temporary / DESCRIPTION,
            {
                "kind": report["kind"],
                "taxonomy": taxonomy.name,
                "topics": taxonomy.names,
                "rest": taxonomy.rest,
                "temperature": temperature,
                "words": WORDS_VERSION,
                "trained_on": training_fingerprint(labels, taxonomy, encoder),
            },
            sealed=True,
        )
    return report


def training_fingerprint(labels: Sequence[Label], taxonomy: Taxonomy, encoder: Path | None) -> str:
    """Identifies the classifier that these labels give."""
    content = encoder and fingerprint(sorted((str(p.name), p.stat().st_size) for p in encoder.iterdir()))
    words = WORDS_VERSION if encoder is None else None
    return fingerprint([taxonomy.fingerprint, [list(label) for label in labels], content, words])


def describe(directory: Path) -> dict[str, Any]:
    """What is known of the classifier in `directory`. Raises SapwoodError where there is none."""
    path = directory / DESCRIPTION
    if not path.exists():
        raise SapwoodError(f"There is no classifier in {directory}: `sapwood topics train` makes it.")
    return dict(read_json(path, f"Remove {directory}, and run `sapwood topics train`."))


def check_words(directory: Path) -> None:
    """Raises SapwoodError where the linear classifier in `directory` knows words that are cut otherwise now."""
    description = describe(directory)
    if description["kind"] == "linear" and description.get("words") != WORDS_VERSION:
        raise SapwoodError(
            f"The classifier in {directory} was trained by an earlier version of sapwood, which cut words otherwise. "
            "`sapwood topics train` makes it anew from the same labels."
        )


def _fit(texts: Sequence[str], topics: npt.NDArray[np.int64], count: int, encoder: Path | None) -> Model:
    if encoder is None:
        return LinearClassifier.fit(texts, topics, count)
    from sapwood.corpus.topics.encoder import EncoderClassifier

    return EncoderClassifier.fit(encoder, texts, topics, count)


def _split(topics: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Labels to train on and labels to judge by, the same share of every topic; a topic's only label is trained on."""
    rng = np.random.default_rng(0)
    trained, held_out = [], []
    for topic in np.unique(topics):
        members = rng.permutation(np.flatnonzero(topics == topic)).tolist()
        count = round(HELD_OUT * len(members)) if len(members) > 2 else len(members) - 1
        held_out += members[:count]
        trained += members[count:]
    return sorted(trained), sorted(held_out)


def _fit_temperature(logits: npt.NDArray[np.float32], topics: npt.NDArray[np.int64]) -> float:
    """The temperature under which the held-out labels are likeliest."""
    from scipy.optimize import minimize_scalar

    if not len(topics):
        return 1.0
    rows = np.arange(len(topics))

    def surprise(log_temperature: float) -> float:
        return float(-np.log(_softmax(logits / np.exp(log_temperature))[rows, topics] + 1e-12).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=_LOG_TEMPERATURES, method="bounded").x))


def _measured(
    probabilities: Floats, topics: npt.NDArray[np.int64], names: Sequence[str], confidence: float
) -> dict[str, Any]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1) if len(topics) else np.empty(0, np.int64)
    right = int((predicted == topics).sum())
    numbers = list(range(len(names)))
    precision, recall, f1, support = precision_recall_fscore_support(topics, predicted, labels=numbers, zero_division=0)
    present = support > 0
    unsure = probabilities.max(axis=1) < confidence if len(topics) else np.zeros(0, bool)
    sure = int((~unsure).sum())
    return {
        "accuracy": right / max(1, len(topics)),
        "accuracy_interval": list(wilson(right, len(topics))),
        "accuracy_where_sure": int((predicted == topics)[~unsure].sum()) / sure if sure else None,
        "unsure": float(unsure.mean()) if len(topics) else 0.0,
        "macro_f1": float(f1[present].mean()) if present.any() else 0.0,
        "topics": [
            {
                "topic": name,
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "support": int(support[number]),
            }
            for number, name in enumerate(names)
        ],
        "confusion": confusion_matrix(topics, predicted, labels=numbers).tolist(),
    }


def _softmax(logits: npt.NDArray[Any]) -> Floats:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    probabilities: Floats = shifted / shifted.sum(axis=1, keepdims=True) if len(logits) else shifted
    return probabilities
