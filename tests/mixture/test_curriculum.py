"""Scores in the order in which documents came, over stores and epochs of made-up tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sapwood.corpus.store import PERPLEXITY, store_of
from sapwood.mixture.curriculum import PARTS, read_curricula
from sapwood.mixture.epochs import Epochs
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import Mixture
from sapwood.recipe.mixture import Order
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest
from sapwood.tokens.store import TokenStore, read_scores

MakeStore = Callable[[Path, Sequence[Sequence[Sequence[int]]]], TokenStore]
LENGTH = 10


@pytest.fixture
def run(tmp_path: Path, make_store: MakeStore) -> RunDirectory:
    """400 documents of 5 tokens, the n-th with an nll of n / 100; every other row of the corpus is not trained on."""
    run = RunDirectory(tmp_path)
    make_store(run.tokens("a"), [[[7] * 4 + [0]] * 400])
    corpus = store_of(run, "a")
    for step, columns in (("documents", {"id": ["x"] * 800}), (PERPLEXITY, {"nll": np.arange(800) / 200})):
        corpus.step(step).mkdir(parents=True)
        pq.write_table(pa.table(columns), corpus.step(step) / "00000-00000.parquet")
        Manifest(step=step, inputs={}, settings={}).write(corpus.step(step))
    return run


def train(run: RunDirectory, order: Order, sequences: int) -> Ledger:
    ledger = Ledger(run.ledger)
    ledger.append(
        Round(
            index=0,
            stage="first",
            start=0,
            sequences=sequences,
            sequence_length=LENGTH,
            start_tokens=0,
            mixture=Mixture({"a": Fraction(1)}, {"a": "g"}),
            first={},
            orders={"a": order},
            reasons=("because",),
        )
    )
    store = TokenStore(run.tokens("a"), "train")
    scores = partial(read_scores, store_of(run, "a"), store)
    epochs = Epochs(run.epochs("a"), store, None, store.tokens, scores, key="0", identity="")
    Stream(ledger, {"a": epochs}).make_epochs(ledger.rounds[0])
    return ledger


def test_a_whole_pass_climbs_from_easy_to_hard(run: RunDirectory) -> None:
    ledger = train(run, Order(by="perplexity"), sequences=200)
    (found,) = read_curricula(run, ledger, 200)
    assert (found.stage, found.source, found.score, found.epochs) == ("first", "a", "perplexity", 1.0)
    expected = [np.exp(np.arange(40 * part, 40 * (part + 1)).mean() / 100) for part in range(PARTS)]
    assert found.means == pytest.approx(expected)
    assert found.shuffled == pytest.approx(np.exp(np.arange(400).mean() / 100))


def test_only_what_was_reached_counts(run: RunDirectory) -> None:
    ledger = train(run, Order(by="perplexity", ascending=False), sequences=200)
    (found,) = read_curricula(run, ledger, 20)
    assert found.epochs == pytest.approx(0.1)
    assert found.means[0] == pytest.approx(np.exp(np.arange(396, 400).mean() / 100))
    assert found.means[-1] == pytest.approx(np.exp(np.arange(360, 364).mean() / 100))
    assert read_curricula(run, ledger, 0) == []


def test_a_second_pass_begins_anew(run: RunDirectory) -> None:
    ledger = train(run, Order(by="perplexity"), sequences=400)
    (found,) = read_curricula(run, ledger, 400)
    assert found.epochs == 2.0
    assert found.means[: PARTS // 2] == pytest.approx(found.means[PARTS // 2 :])


def test_what_is_shuffled_or_gone_is_left_out(run: RunDirectory) -> None:
    ledger = train(run, Order(by="perplexity"), sequences=200)
    (store_of(run, "a").step(PERPLEXITY) / "manifest.json").unlink()
    assert read_curricula(run, ledger, 200) == []
