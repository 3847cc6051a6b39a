from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.annotate import Columns, annotate
from sapwood.corpus.selection import ends_of, trim_step
from sapwood.corpus.store import SourceStore, write_shard
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine, Trim
from sapwood.runs.manifest import Manifest

MakeStore = Callable[..., SourceStore]
SHARES = st.fractions(0, Fraction(49, 100), max_denominator=200)


def say(store: SourceStore, step: str, kind: Any = None, **values: list[Any]) -> None:
    """Writes what a step would have written."""
    row = 0
    for shard in store.shards():
        count = sum(len(batch["id"]) for batch in store.read(shard, {"documents": ["id"]}))
        columns = Columns({name: kind for name in values if name != "reason"})
        columns.values |= {
            name: values.get(name, [None] * row + [None] * count)[row : row + count] for name in columns.values
        }
        write_shard(store.step(step) / f"{shard}.parquet", columns.table(), columns.account())
        row += count
    Manifest(step=step, inputs={"values": str(values)}, settings={}).write(store.step(step))


def trimmed(store: SourceStore, settings: Trim, after: tuple[str, ...] = ()) -> list[str | None]:
    annotate(store, trim_step(store, settings, after), Engine(workers=1))
    return [value for batch in store.read_all({"trim": ["reason"]}) for value in batch["trim.reason"].to_pylist()]


def dropped(reasons: list[str | None]) -> list[int]:
    return [number for number, reason in enumerate(reasons) if reason is not None]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), SHARES, SHARES)
def test_exactly_the_shares_are_cut_off(numbers: list[int], head: Fraction, tail: Fraction) -> None:
    values, ids = np.array(numbers, float), np.array([f"{number:02d}" for number in range(len(numbers))])
    first, last = ends_of(values, ids, Trim(head=head, tail=tail))
    places = sorted(zip(values.tolist(), ids.tolist(), strict=True))
    assert sum(place < first for place in places) == head * len(places) // 1
    assert sum(place > last for place in places) == tail * len(places) // 1


def test_the_ends_of_a_source(make_store: MakeStore) -> None:
    store = make_store([f"text {number}" for number in range(200)])
    scores = [float(7 * number % 200) for number in range(200)]
    say(store, "perplexity", pa.float64(), nll=scores)
    reasons = trimmed(store, Trim(head=Fraction(1, 100), tail=Fraction(5, 1000)))
    assert {scores[number]: reasons[number] for number in dropped(reasons)} == {
        0.0: "perplexity among the lowest 1% of its source",
        1.0: "perplexity among the lowest 1% of its source",
        199.0: "perplexity among the highest 0.5% of its source",
    }


def test_only_documents_that_are_left_count(make_store: MakeStore) -> None:
    store = make_store([f"text {number}" for number in range(23)])
    say(store, "language", reason=["foreign" if number < 2 else None for number in range(23)])
    say(store, "perplexity", pa.float64(), nll=[None, 99.0, *(float(number) for number in range(20)), None])
    reasons = trimmed(store, Trim(head=Fraction(1, 20), tail=Fraction(1, 20)), ("language",))
    assert dropped(reasons) == [2, 21]


def test_topics_are_trimmed_each_by_itself(make_store: MakeStore) -> None:
    store = make_store([f"text {number}" for number in range(33)])
    topics = ["easy"] * 10 + ["hard"] * 20 + ["rare"] * 3
    say(store, "perplexity", pa.float64(), nll=[float(number) for number in range(33)])
    say(store, "topics", pa.string(), topic=topics)
    reasons = trimmed(store, Trim(head=Fraction(1, 10), within="topic"))
    # Of the three documents of the rare topic, a tenth is none.
    assert dropped(reasons) == [0, 10, 11]
    assert reasons[0] == "perplexity among the lowest 10% of its topic"


def test_a_source_without_topics_is_trimmed_as_a_whole(make_store: MakeStore) -> None:
    store = make_store([f"text {number}" for number in range(10)])
    say(store, "perplexity", pa.float64(), nll=[float(number) for number in range(10)])
    reasons = trimmed(store, Trim(tail=Fraction(1, 10), within="topic"))
    assert reasons[9] == "perplexity among the highest 10% of its source"
    assert dropped(reasons) == [9]


def test_equal_perplexities_are_parted_by_id(make_store: MakeStore) -> None:
    texts = [f"text {number}" for number in range(40)]
    store, other = make_store(texts, shard_documents=40), make_store(texts[::-1], shard_documents=9)
    lost = []
    for found in (store, other):
        say(found, "perplexity", pa.float64(), nll=[1.5] * 40)
        reasons = trimmed(found, Trim(head=Fraction(1, 10), tail=Fraction(1, 10)))
        assert len(dropped(reasons)) == 8
        read = found.read_all({"documents": ["id"]})
        ids = [value for batch in read for value in batch["id"].to_pylist()]
        lost.append({ids[number] for number in dropped(reasons)})
    assert lost[0] == lost[1]


def test_copies_share_their_fate(make_store: MakeStore) -> None:
    store = make_store(["the same"] * 4 + ["another", "a third"])
    say(store, "perplexity", pa.float64(), nll=[1.0] * 4 + [2.0, 3.0])
    assert dropped(trimmed(store, Trim(head=Fraction(1, 3), tail=Fraction(1, 6)))) == [5]


def test_a_source_without_documents(make_store: MakeStore) -> None:
    store = make_store([])
    say(store, "perplexity")
    assert trimmed(store, Trim(head=Fraction(1, 10))) == []


def test_scores_must_be_there(make_store: MakeStore) -> None:
    with pytest.raises(SapwoodError, match=r"perplexity is not complete. Run `sapwood prepare`"):
        trim_step(make_store(["text"]), Trim(), ())
