from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.annotate import Columns
from sapwood.corpus.selection import HoldoutRule, select
from sapwood.corpus.store import SourceStore, write_shard
from sapwood.runs.manifest import Manifest

HASHES = [f"{number:016x}" for number in range(4000)]
SHARES = st.fractions(0, 1, max_denominator=1000)


@given(SHARES, SHARES, st.text(max_size=5))
def test_a_larger_share_holds_out_the_same_and_more(a: Fraction, b: Fraction, salt: str) -> None:
    small, large = (HoldoutRule(share, salt) for share in sorted((a, b)))
    for text_hash in HASHES[:50]:
        assert large.holds_out(text_hash) or not small.holds_out(text_hash)


def test_the_share_is_met() -> None:
    found = sum(HoldoutRule(Fraction(1, 10), "salt").holds_out(text_hash) for text_hash in HASHES)
    assert 340 < found < 460  # three standard deviations


def test_nothing_and_everything() -> None:
    assert not any(HoldoutRule(Fraction(0), "salt").holds_out(text_hash) for text_hash in HASHES)
    assert all(HoldoutRule(Fraction(1), "salt").holds_out(text_hash) for text_hash in HASHES)


def test_another_salt_gives_another_choice() -> None:
    choices = [
        [HoldoutRule(Fraction(1, 2), salt).holds_out(text_hash) for text_hash in HASHES[:99]] for salt in ("a", "b")
    ]
    assert choices[0] != choices[1]


def say(store: SourceStore, step: str, reasons: list[str | None]) -> None:
    """Writes what a step would have written."""
    said = iter(reasons)
    for shard in store.shards():
        rows = sum(len(batch["id"]) for batch in store.read(shard, {"documents": ["id"]}))
        columns = Columns({})
        columns.values["reason"] = [next(said) for _ in range(rows)]
        write_shard(store.step(step) / f"{shard}.parquet", columns.table(), columns.account())
    Manifest(step=step, inputs={"reasons": reasons}, settings={}).write(store.step(step))


def rows(store: SourceStore) -> list[dict[str, Any]]:
    columns = {"selection": ["split", "step", "reason"]}
    return [row for batch in store.read_all(columns) for row in pa.table(batch).to_pylist()]


def test_the_first_step_that_set_a_document_aside_is_named(make_store: Callable[..., SourceStore]) -> None:
    store = make_store([f"text {number}" for number in range(20)])
    say(store, "language", ["wrong" if number % 4 == 0 else None for number in range(20)])
    say(store, "quality", ["poor" if number % 5 == 0 else None for number in range(20)])
    manifest = select(store, ("language", "quality"), HoldoutRule(Fraction(1, 2), "s"))
    found = rows(store)
    for number, row in enumerate(found):
        if number % 4 == 0:
            expected = (None, "language", "wrong")
        elif number % 5 == 0:
            expected = (None, "quality", "poor")
        else:
            expected = (row["selection.split"], None, None)
            assert row["selection.split"] in ("train", "holdout")
        assert tuple(row.values()) == expected
    assert manifest.reasons == {"language: wrong": 5, "quality: poor": 3}
    splits = Counter(row["selection.split"] for row in found)
    counts = manifest.counts
    assert (counts["dropped"], counts["train"], counts["holdout"]) == (8, splits["train"], splits["holdout"])
    assert counts["bytes"] == counts["dropped_bytes"] + counts["train_bytes"] + counts["holdout_bytes"]
    assert select(store, ("language", "quality"), HoldoutRule(Fraction(1, 2), "s")) == manifest
    assert select(store, ("quality",), HoldoutRule(Fraction(1, 2), "s")).reasons == {"quality: poor": 4}


def test_copies_share_their_fate_in_all_sources_and_wrappings(make_store: Callable[..., SourceStore]) -> None:
    texts = [f"text {number // 2}" + (" \n over" if number % 2 else " over ") for number in range(200)]
    found = []
    for name in ("one", "two"):
        store = make_store(texts, name=name)
        select(store, (), HoldoutRule(Fraction(1, 2), "s"))
        found.append([row["selection.split"] for row in rows(store)])
    assert found[0] == found[1]
    assert found[0][::2] == found[0][1::2]
    assert set(found[0]) == {"train", "holdout"}
