"""A linear classifier on hashed n-grams of words and characters: small, quick, and good enough for topics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapwood.corpus.ngrams import character_values, ngram_hashes, tokenise

CHARACTERS = 4000
"""How much of a text's beginning is looked at."""
BITS = 18
"""The features are this many bits of the hashes."""

_WORD_NGRAMS = (1, 2, 3)
_CHARACTER_NGRAMS = (4,)
_WEIGHTS = "weights.safetensors"
_INVERSE_REGULARISATION = 30.0

Floats = npt.NDArray[np.float32]


class LinearClassifier:
    """Multinomial logistic regression over log counts of hashed n-grams, weighted by their rarity (TF-IDF)."""

    def __init__(self, weights: Floats, bias: Floats, rarity: Floats) -> None:
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

    def logits(self, texts: Sequence[str]) -> Floats:
        """Unnormalised log probabilities, `[texts, topics]`."""
        found = [self._logits(text) for text in texts]
        return np.stack(found) if found else np.empty((0, len(self.bias)), np.float32)

    def _logits(self, text: str) -> Floats:
        columns, values = _features(text)
        weighted = values * self.rarity[columns]
        length = np.float32(max(float(np.linalg.norm(weighted)), 1e-12))
        scores: Floats = (weighted @ self.weights[columns] / length + self.bias).astype(np.float32)
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


def _features(text: str) -> tuple[npt.NDArray[np.int64], Floats]:
    """The numbers of a text's features, each once, and the logs of their counts."""
    beginning = text[:CHARACTERS]
    words = tokenise(beginning).hashes
    characters = character_values(beginning)
    hashes = [ngram_hashes(words, n) for n in _WORD_NGRAMS] + [ngram_hashes(characters, n) for n in _CHARACTER_NGRAMS]
    found, counts = np.unique(np.concatenate(hashes) >> np.uint64(64 - BITS), return_counts=True)
    return found.astype(np.int64), np.log1p(counts).astype(np.float32)
