"""A model and token ids in, log-likelihoods out: the one place where texts are scored.

    documents ── document_windows ──> windows ── plan_batches ──> batches ── score ──> nats per document

- `score` (`score`): summed negative log-likelihoods of token sequences. `rolling_windows`: long texts, each token
  once.
- `plan_batches` (`batch`): sequences of similar length together. `DocumentModel` (`documents`): documents as they
  come.
- `spelt_bytes` (`spelling`): bytes per token, for bits per byte.

Three tokens after the prefix 0, in windows of two inputs; so many ids at each window's beginning are not scored:

>>> import numpy as np
>>> from sapwood.likelihood.score import rolling_windows
>>> [(window.tolist(), context) for window, context in rolling_windows(np.array([5, 6, 7]), 0, 2)]
[([0, 5, 6], 1), ([0, 6, 7], 2)]
"""
