from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from made_up_texts import chinese, edited, english, jaccard
from sapwood.corpus.annotate import annotate
from sapwood.corpus.duplicates import VALUES, Sign, find_copies, find_duplicates, sign, signatures_step
from sapwood.corpus.store import SourceStore, write_shard
from sapwood.recipe.data import Duplicates, Engine
from sapwood.runs.manifest import Manifest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("make", [english, chinese])
def test_signatures_estimate_similarity(make: Callable[[], str]) -> None:
    pairs = [(text, edited(text, count)) for count in (0, 2, 5, 15, 60) for text in (make() for _ in range(20))]
    ones, twos = (sign([pair[side] for pair in pairs]) for side in (0, 1))
    errors = (ones == twos).mean(axis=1) - [jaccard(*pair) for pair in pairs]
    assert abs(errors.mean()) < 0.01
    assert np.abs(errors).max() < 0.16  # four standard deviations


def test_signatures_are_always_the_same() -> None:
    """Guards what is on disks: another version of the library must not change them unnoticed."""
    assert sign(["the sapwood carries water", "年轮记录气候"])[:, :3].tolist() == [
        [4064868320, 3801462214, 3753395439],
        [4102980660, 3545981984, 3997797719],
    ]
    assert np.array_equal(sign(["x", "", "y"])[1], sign([""])[0])


Say = Callable[[SourceStore, str, list[str | None]], None]


@pytest.fixture
def stores(make_store: Callable[..., SourceStore]) -> list[SourceStore]:
    one, two = english(), english()
    texts = {
        "web": [one, chinese(), english(), edited(one, 2), one.replace(" ", "\n")],
        "book": [english(), one, two, two],
        "news": [two, edited(two, 1)],
    }
    return [make_store(found, name=name, shard_documents=2) for name, found in texts.items()]


def run(stores: list[SourceStore], evaluation_only: list[str] | None = None, **settings: Any) -> dict[str, Manifest]:
    after = {store.name: () for store in stores}
    for store in stores:
        annotate(store, signatures_step(()), Engine(workers=1))
    return find_duplicates(stores, after, Duplicates(**settings), evaluation_only or [])


def said(store: SourceStore, name: str) -> list[Any]:
    return [
        value for batch in store.read_all({"duplicates": [name]}) for value in batch[f"duplicates.{name}"].to_pylist()
    ]


def ids(store: SourceStore) -> list[str]:
    return [value for batch in store.read_all({"documents": ["id"]}) for value in batch["id"].to_pylist()]


def test_the_first_source_keeps_its_copy(stores: list[SourceStore]) -> None:
    manifests = run(stores)
    web, book, news = stores
    assert said(web, "reason") == [None, None, None, "near-duplicate", "exact duplicate"]
    assert said(book, "reason") == [None, "exact duplicate of a document in web", None, "exact duplicate"]
    assert said(news, "reason") == ["exact duplicate of a document in book", "near-duplicate of a document in book"]
    assert said(book, "copy_of") == [None, ids(web)[0], None, ids(book)[2]]
    assert said(web, "cluster_size")[:3] == [4, 1, 1]
    assert said(news, "similarity")[0] == 1
    assert 0.8 <= said(news, "similarity")[1] < 1
    assert manifests["book"].counts["dropped"] == 2
    assert manifests["book"].reasons == {"exact duplicate of a document in web": 1, "exact duplicate": 1}
    assert run(stores) == manifests


def test_priority_and_watched_sources_come_first(stores: list[SourceStore]) -> None:
    run(stores, priority=["book"])
    assert said(stores[1], "reason") == [None, None, None, "exact duplicate"]
    assert said(stores[0], "reason")[0] == "exact duplicate of a document in book"
    run(stores, evaluation_only=["news"])
    assert said(stores[2], "reason") == [None, "near-duplicate"]
    assert said(stores[1], "reason")[2:] == ["exact duplicate of a document in news"] * 2


def test_exact_copies_alone(stores: list[SourceStore]) -> None:
    run(stores, near=False)
    assert said(stores[0], "reason") == [None, None, None, None, "exact duplicate"]
    assert said(stores[2], "reason") == ["exact duplicate of a document in book", None]


def test_what_was_set_aside_takes_no_part(stores: list[SourceStore]) -> None:
    web = stores[0]
    rows = iter(["foreign"] + [None] * 4)
    for shard in web.shards():
        table = pa.table(
            {"reason": pa.array([next(rows) for _ in range(2 if shard < "00000-00002" else 1)], pa.string())}
        )
        write_shard(web.step("language") / f"{shard}.parquet", table, {})
    Manifest(step="language", inputs={}, settings={}).write(web.step("language"))
    after = {"web": ("language",), "book": (), "news": ()}
    for store in stores:
        annotate(store, signatures_step(after[store.name]), Engine(workers=1))
    find_duplicates(stores, after, Duplicates(), [])
    assert said(web, "reason") == [None, None, None, None, "near-duplicate"]
    assert said(web, "cluster_size")[0] is None
    assert said(stores[1], "reason")[1] == "near-duplicate of a document in web"


def test_the_block_signs_in_batches_as_it_does_one_by_one(make_store: Callable[..., SourceStore]) -> None:
    texts = [english(20) for _ in range(300)]
    store = make_store(texts, shard_documents=300)
    annotate(store, signatures_step(()), Engine(workers=1))
    found = [
        value for batch in store.read_all({"signatures": ["signature"]}) for value in batch["signatures.signature"]
    ]
    assert b"".join(value.as_py() for value in found) == sign(texts).tobytes()
    assert Sign().columns["signature"] == pa.binary(4 * VALUES)


def texts_of_signs(kind: str) -> list[str]:
    chance = random.Random(1)
    return {
        "braille": ["".join(chance.choices([" ", *map(chr, range(0x2801, 0x2840))], k=300)) for _ in range(8)],
        "morse": [" ".join("".join(chance.choices(".-", k=chance.randint(1, 4))) for _ in range(90)) for _ in range(8)],
        "emoji": ["".join(chance.choices("😀🚀🌙🎉🐟⛵", k=100)) for _ in range(8)],
        "drawings": ["\n".join("".join(chance.choices("|/\\_ ", k=20)) for _ in range(9)) for _ in range(8)],
        "sums": [f"What is {a} {sign} 7?" for a in (12, 13) for sign in "+-×÷"],
        "languages": [f"The best language is {name}." for name in ("C", "C++", "C#", "F#", "F")],
        "relations": [f"Let a {sign} b." for sign in "<>=≤≥≠→←"],
        "faces": [f"I feel {face} today" for face in "🙂🙁😡"],
        "titled": [f"Figure 1\n{''.join(chance.choices('█▓▒░ ', k=300))}" for _ in range(8)],
        "hindi": ["लड़का सुबह उठता है और पढ़ता है", "लड़की सुबह उठती है और पढ़ती है"],
    }[kind]


@pytest.mark.parametrize("kind", "braille morse emoji drawings sums languages relations faces titled hindi".split())
def test_texts_that_differ_in_signs_and_marks_are_no_copies(kind: str) -> None:
    texts = texts_of_signs(kind)
    hashes = np.arange(len(texts), dtype=np.uint64)
    assert find_copies(hashes, sign(texts), 0.8).keepers.tolist() == list(range(len(texts)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The sapwood carries water " * 9, "THE SAPWOOD CARRIES WATER " * 9),
        ("A short text, with some signs: it is read twice.", "A short text with some signs; it is read twice!"),
        ("他说：“这是一篇短文。”", "他说，这是一篇短文"),
        ("Die Größe der Wände " * 4, "Die Gro\u0308\u00dfe der Wa\u0308nde " * 4),
        ("⼩⻔上⽤⼀⻓⽊", "小门上用一长木"),
    ],
)
def test_other_forms_of_a_text_are_copies(one: str, other: str) -> None:
    assert find_copies(np.arange(2, dtype=np.uint64), sign([one, other]), 0.8).keepers.tolist() == [0, 0]
