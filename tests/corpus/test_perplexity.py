from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood.corpus import perplexity as module
from sapwood.corpus.annotate import Columns, annotate
from sapwood.corpus.perplexity import Scorer, read_notes, score_part, score_source
from sapwood.corpus.signals import compression_ratio, signals_step
from sapwood.corpus.store import SourceStore, write_shard
from sapwood.corpus.trim import ends_of, trim_step
from sapwood.manifest import Manifest
from sapwood.recipe.data import Engine, Trim

TEXTS = [
    *(f"the tree number {number} adds a ring of living wood every year " * (1 + number % 4) for number in range(12)),
    *("树木每年长出一圈新的边材" * (1 + number % 3) + str(number) for number in range(8)),
    "x",
]
MakeStore = Callable[..., SourceStore]


def column(store: SourceStore, step: str, name: str) -> list[Any]:
    return [value for batch in store.read_all({step: [name]}) for value in batch[f"{step}.{name}"].to_pylist()]


def say(store: SourceStore, step: str, reasons: list[str | None], **values: list[Any]) -> None:
    """Writes what a step would have written."""
    import pyarrow as pa

    row = 0
    for shard in store.shards():
        count = sum(len(batch["id"]) for batch in store.read(shard, {"documents": ["id"]}))
        types = {name: pa.array(found).type for name, found in values.items()}
        columns = Columns(types)
        for name, found in {**values, "reason": reasons}.items():
            columns.values[name] = found[row : row + count]
        write_shard(store.step(step) / f"{shard}.parquet", columns.table(), columns.account())
        row += count
    Manifest(step=step, inputs={"reasons": reasons}, settings={}).write(store.step(step))


def test_signals(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store(TEXTS)
    annotate(store, signals_step(store, tiny_backbone), Engine(workers=1))
    assert column(store, "signals", "characters") == [len(text) for text in TEXTS]
    assert column(store, "signals", "bytes") == [len(text.encode()) for text in TEXTS]
    encoder = module.Encoder.load(tiny_backbone)
    assert column(store, "signals", "tokens") == np.diff(encoder.encode_batch(TEXTS)[1]).tolist()
    rarities = column(store, "signals", "token_rarity")
    assert rarities[-1] == max(rarities)
    ratios = column(store, "signals", "compression_ratio")
    assert ratios[3] < ratios[0]
    assert compression_ratio(b"") == 1
    assert compression_ratio(os.urandom(1000)) > 1 > compression_ratio(b"year " * 200)


def test_scores_are_those_of_the_model(make_store: MakeStore, tiny_backbone: Path) -> None:
    import torch

    from sapwood.backbone.load import load_model, load_tokenizer

    store = make_store(TEXTS)
    manifest = score_source(store, Scorer(tiny_backbone, None), ())
    model, tokenizer = load_model(tiny_backbone), load_tokenizer(tiny_backbone)
    for text, nll, bits, tokens, size in zip(
        TEXTS, *(column(store, "perplexity", name) for name in module.PerplexityScores.columns), strict=True
    ):
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        expected = model(ids, labels=ids).loss.item()
        assert nll == pytest.approx(expected, rel=1e-4)
        assert (tokens, size) == (ids.shape[1] - 1, len(text.encode()))
        assert bits == pytest.approx(expected * tokens / math.log(2) / size, rel=1e-4)
    assert manifest.counts["documents"] == len(TEXTS)


def test_only_the_beginning_is_scored_and_its_bytes_are_exact(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store(TEXTS)
    scorer = Scorer(tiny_backbone, 7)
    score_source(store, scorer, ())
    for text, tokens, size in zip(
        TEXTS, column(store, "perplexity", "scored_tokens"), column(store, "perplexity", "scored_bytes"), strict=True
    ):
        beginning = text.encode()[:size].decode()
        assert tokens <= 7
        assert len(scorer.encoder.encode_batch([beginning])[0]) == tokens
        assert size <= len(text.encode())


def test_long_documents_are_scored_in_windows(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store([TEXTS[3] * 40])  # the model reads 256 tokens at a time
    score_source(store, Scorer(tiny_backbone, None), ())
    (tokens,) = column(store, "perplexity", "scored_tokens")
    assert tokens > 1000


def test_ranks_share_the_work(make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 300)
    one, many = make_store(TEXTS), make_store(TEXTS, name="many")
    score_source(one, Scorer(tiny_backbone, None), ())
    for rank in range(3):
        score_part(many, Scorer(tiny_backbone, None), (), rank, 3)
    (notes,) = many.step("perplexity").glob("scores-*")
    assert len(list(notes.glob("*.jsonl"))) == 3
    monkeypatch.setattr(Scorer, "score", None)  # all is there
    score_source(many, Scorer(tiny_backbone, None), ())
    assert column(many, "perplexity", "nll") == pytest.approx(column(one, "perplexity", "nll"), abs=1e-6)


def test_nothing_is_scored_twice(make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[str] = []
    original = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, texts: (scored.extend(texts), original(self, texts))[1])
    store, scorer = make_store(TEXTS), Scorer(tiny_backbone, 50)
    say(store, "language", ["foreign" if number % 3 == 0 else None for number in range(len(TEXTS))])
    score_source(store, scorer, ("language",))
    kept = [text for number, text in enumerate(TEXTS) if number % 3]
    assert scored == kept
    values = column(store, "perplexity", "nll")
    assert [value is None for value in values] == [number % 3 == 0 for number in range(len(TEXTS))]
    score_source(store, scorer, ())
    assert scored[len(kept) :] == [text for number, text in enumerate(TEXTS) if number % 3 == 0]
    score_source(store, Scorer(tiny_backbone, 60), ())
    assert len(scored) == 2 * len(TEXTS)


def test_what_is_cut_out_is_not_scored(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store(["keep this\nleak\nand this", "all of it"])
    none: list[dict[str, int]] = []
    say(store, "contamination", [None, None], cuts=[[{"start": 10, "end": 15}], none])
    score_source(store, Scorer(tiny_backbone, None), ("contamination",))
    assert column(store, "perplexity", "scored_bytes") == [len("keep this\nand this"), len("all of it")]


def _score_slowly(directory: Path, model: Path) -> None:
    module.CHUNK_BYTES = 200
    original = Scorer.score
    Scorer.score = lambda self, texts: (original(self, texts), time.sleep(0.05))[0]  # type: ignore[method-assign]
    score_source(SourceStore(directory), Scorer(model, None), ())


def test_a_kill_costs_one_chunk(make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 200)
    whole, store = make_store(TEXTS), make_store(TEXTS, name="killed")
    score_source(whole, Scorer(tiny_backbone, None), ())
    child = multiprocessing.get_context("forkserver").Process(
        target=_score_slowly, args=(store.directory, tiny_backbone)
    )
    child.start()
    while child.is_alive() and not list(store.step("perplexity").glob("scores-*/*.jsonl")):
        time.sleep(0.01)
    time.sleep(0.15)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    (notes,) = store.step("perplexity").glob("scores-*")
    assert 0 < len(read_notes(notes)) < len(TEXTS)
    score_source(store, Scorer(tiny_backbone, None), ())
    assert column(store, "perplexity", "nll") == column(whole, "perplexity", "nll")


@pytest.mark.parametrize(
    ("head", "tail", "values", "expected"),
    [
        ("0", "0", [3.0, 1.0, 2.0], (1.0, 3.0)),
        ("1/3", "1/3", [3.0, 1.0, 2.0], (2.0, 2.0)),
        ("30%", "30%", [3.0, 1.0, 2.0], (1.0, 3.0)),
        ("50%", "0", [1.0, 1.0, 1.0, 2.0], (1.0, 2.0)),
    ],
)
def test_ends(head: str, tail: str, values: list[float], expected: tuple[float, float]) -> None:
    assert tuple(ends_of(values, Trim(head=head, tail=tail))) == expected
    assert ends_of([], Trim()) == (-math.inf, math.inf)


@pytest.mark.parametrize(("within", "lost"), [("source", [0, 19]), ("topic", [0, 9, 10, 19])])
def test_trimming(make_store: MakeStore, within: str, lost: list[int]) -> None:
    store = make_store([f"text {number}" for number in range(22)])
    scores = [float(number) for number in range(20)] + [99.0, None]
    say(store, "language", [None] * 20 + ["foreign", None])
    say(store, "perplexity", [None] * 22, nll=scores)
    say(store, "topics", [None] * 22, topic=["low"] * 10 + ["high"] * 11 + ["low"])
    share = Fraction(1, 20) if within == "source" else Fraction(1, 10)
    settings = Trim(head=share, tail=share, within=within)  # type: ignore[arg-type]
    manifest = annotate(store, trim_step(store, settings, ("language",)), Engine(workers=1))
    found = column(store, "trim", "reason")
    assert [number for number, reason in enumerate(found) if reason is not None] == lost
    assert found[0] == f"perplexity among the lowest {float(share):.3g} of its {within}"
    assert manifest.counts["dropped"] == len(lost)
