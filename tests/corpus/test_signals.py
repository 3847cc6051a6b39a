from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood.backbone.encode import Encoder
from sapwood.corpus import signals as module
from sapwood.corpus.annotate import annotate
from sapwood.corpus.signals import Signals, compression_ratio, signals_step, token_rarities, write_rarities
from sapwood.corpus.store import SourceStore
from sapwood.recipe.data import Engine

pytestmark = pytest.mark.slow

MakeStore = Callable[..., SourceStore]
LOCAL = Engine(workers=1)
TEXTS = [
    *(f"the tree number {number} adds a ring of living wood every year " * (1 + number % 4) for number in range(12)),
    *("树木每年长出一圈新的边材" * (1 + number % 3) + str(number) for number in range(8)),
    "<|endoftext|>\n",
    "x",
]


def column(store: SourceStore, name: str) -> list[Any]:
    return [value for batch in store.read_all({"signals": [name]}) for value in batch[f"signals.{name}"].to_pylist()]


def test_what_is_said_of_every_document(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store(TEXTS)
    annotate(store, signals_step(store, Encoder.load(tiny_backbone)), LOCAL)
    assert column(store, "characters") == [len(text) for text in TEXTS]
    assert column(store, "bytes") == [len(text.encode()) for text in TEXTS]
    expected = [len(Encoder.load(tiny_backbone).encode_batch([text])[0]) for text in TEXTS]
    assert column(store, "tokens") == expected
    assert column(store, "compression_ratio") == [np.float32(compression_ratio(text.encode())) for text in TEXTS]
    assert set(column(store, "reason")) == {None}


def test_rarity_by_its_definition(make_store: MakeStore, tiny_backbone: Path) -> None:
    store, encoder = make_store(TEXTS), Encoder.load(tiny_backbone)
    annotate(store, signals_step(store, Encoder.load(tiny_backbone)), LOCAL)
    tokens = [encoder.encode_batch([text])[0].tolist() for text in TEXTS]
    counts = Counter(token for text in tokens for token in text)
    total = sum(counts.values()) + encoder.vocabulary_size
    expected = [sum(-math.log2((counts[token] + 1) / total) for token in text) / len(text) for text in tokens]
    assert column(store, "token_rarity") == pytest.approx(expected, rel=1e-6)


def test_the_sample_is_spread_over_the_source(
    make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [chr(ord("a") + number // 10) for number in range(200)]  # a source that changes as it goes on
    store, encoder = make_store(texts, shard_documents=25), Encoder.load(tiny_backbone)
    whole = token_rarities(store, encoder)
    seen = np.unique(encoder.encode_batch(texts)[0])
    monkeypatch.setattr(module, "SAMPLED_DOCUMENTS", 60)
    part = token_rarities(store, encoder)
    assert part[seen].max() < part.max()  # all letters were found
    monkeypatch.setattr(module, "SAMPLED_GROUPS", 4)
    coarse = token_rarities(store, encoder)
    assert not np.array_equal(coarse, part)
    assert whole[seen].std() < part[seen].std() < coarse[seen].std()


def test_batches_change_nothing(make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_store(TEXTS), make_store(TEXTS, name="other", shard_documents=3)
    annotate(one, signals_step(one, Encoder.load(tiny_backbone)), LOCAL)
    monkeypatch.setattr(module, "_BATCH_CHARACTERS", 100)
    annotate(two, signals_step(two, Encoder.load(tiny_backbone)), LOCAL)
    for name in Signals.columns:
        assert column(one, name) == column(two, name)


def test_rarities_are_gathered_once(
    make_store: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(TEXTS)
    step = signals_step(store, Encoder.load(tiny_backbone))
    manifest = annotate(store, step, LOCAL)
    monkeypatch.setattr(module, "token_rarities", None)
    assert annotate(store, signals_step(store, Encoder.load(tiny_backbone)), LOCAL) == manifest
    monkeypatch.undo()
    other = write_rarities(store, Encoder.load(tiny_backbone), {"level": 9})
    assert list(store.step("signals").glob("rarities-*")) == [other.parent]


def test_compression_tells_repetition_from_noise() -> None:
    noise = random.Random(0).randbytes(1000)
    assert compression_ratio(b"") == 1
    assert compression_ratio(noise) > 1 > compression_ratio(TEXTS[3].encode()) > compression_ratio(b"year " * 200)
    assert compression_ratio(noise * 100) == compression_ratio(noise * 200)  # only the beginning counts


@pytest.mark.parametrize("texts", [[], [" "]])
def test_sources_of_next_to_nothing(make_store: MakeStore, tiny_backbone: Path, texts: list[str]) -> None:
    store = make_store(texts)
    assert annotate(store, signals_step(store, Encoder.load(tiny_backbone)), LOCAL).counts["documents"] == len(texts)
    assert column(store, "tokens") == [1] * len(texts)
