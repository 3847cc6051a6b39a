from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from datatrove.data import Document

from sapwood.corpus import annotate as module
from sapwood.corpus.annotate import AnnotateShards, Step, annotate
from sapwood.corpus.block import Annotator, filter_out
from sapwood.corpus.store import SourceStore, shard_names
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine
from sapwood.runs.manifest import read_manifest

LOCAL = Engine(workers=1)
TEXTS = [f"document {number} " * (1 + number % 3) for number in range(30)]


class LengthCheck(Annotator):
    columns: ClassVar[dict[str, pa.DataType]] = {"length": pa.int64()}

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest = longest

    def annotate(self, document: Document) -> None:
        document.metadata["length"] = len(document.text)
        if len(document.text) > self.longest:
            filter_out(document, "too long")


class SumCheck(Annotator):
    columns: ClassVar[dict[str, pa.DataType]] = {"double": pa.int64()}

    def annotate(self, document: Document) -> None:
        document.metadata["double"] = 2 * document.metadata["length"]


def lengths(longest: int = 25) -> Step:
    return Step(name="lengths", annotator=LengthCheck(longest), settings={"longest": longest})


def doubles(**options: Any) -> Step:
    return Step(name="doubles", annotator=SumCheck(), settings={}, reads={"lengths": ["length"]}, **options)


def column(store: SourceStore, step: str, name: str) -> list[Any]:
    return [value for batch in store.read_all({step: [name]}) for value in batch[f"{step}.{name}"].to_pylist()]


def test_columns_stand_beside_the_documents(make_store: Callable[..., SourceStore]) -> None:
    store = make_store(TEXTS)
    manifest = annotate(store, lengths(), LOCAL)
    assert manifest == read_manifest(store.step("lengths"))
    assert shard_names(store.step("lengths")) == store.shards()
    assert column(store, "lengths", "length") == [len(text) for text in TEXTS]
    dropped = [text for text in TEXTS if len(text) > 25]
    assert column(store, "lengths", "reason") == ["too long" if text in dropped else None for text in TEXTS]
    assert manifest.reasons == {"too long": len(dropped)}
    assert manifest.counts == {
        "documents": 30,
        "bytes": sum(map(len, TEXTS)),
        "dropped": len(dropped),
        "dropped_bytes": sum(map(len, dropped)),
    }


def test_what_an_earlier_step_set_aside_is_not_looked_at(make_store: Callable[..., SourceStore]) -> None:
    store = make_store(TEXTS)
    annotate(store, lengths(), LOCAL)
    manifest = annotate(store, doubles(after=("lengths",)), LOCAL)
    assert column(store, "doubles", "double") == [None if len(text) > 25 else 2 * len(text) for text in TEXTS]
    assert set(column(store, "doubles", "reason")) == {None}
    assert manifest.counts["documents"] == sum(len(text) <= 25 for text in TEXTS)
    assert manifest.counts["dropped"] == 0


def test_a_step_is_done_again_when_what_it_depends_on_changed(
    make_store: Callable[..., SourceStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(
        module, "run", lambda blocks, run=module.run, **options: (done.append(options["title"]), run(blocks, **options))
    )
    store = make_store(TEXTS)
    for longest in (25, 25, 12):
        annotate(store, lengths(longest), LOCAL)
        annotate(store, doubles(), LOCAL)
    assert done == ["web: lengths", "web: doubles"] * 2
    annotate(store, doubles(after=("lengths",)), LOCAL)
    assert done[4:] == []  # it already read a column of that step


def test_stopped_work_goes_on(make_store: Callable[..., SourceStore], monkeypatch: pytest.MonkeyPatch) -> None:
    class StopError(Exception):
        pass

    looked: list[str] = []

    class Stopping(LengthCheck):
        def annotate(self, document: Document) -> None:
            looked.append(document.text)
            if len(looked) == 18:
                raise StopError
            super().annotate(document)

    store = make_store(TEXTS)
    step = Step(name="lengths", annotator=Stopping(25), settings={})
    with pytest.raises(StopError):
        annotate(store, step, LOCAL)
    assert shard_names(store.step("lengths")) == store.shards()[:2]
    with pytest.raises(SapwoodError, match="not complete"):
        store.manifest("lengths")
    annotate(store, step, LOCAL)
    assert looked[18:] == TEXTS[14:]
    assert column(store, "lengths", "length") == [len(text) for text in TEXTS]


def test_a_step_without_its_forerunner_is_refused(make_store: Callable[..., SourceStore]) -> None:
    with pytest.raises(SapwoodError, match=r"lengths is not complete. Run `sapwood prepare`"):
        annotate(make_store(TEXTS), doubles(), LOCAL)


def test_a_process_left_over_from_another_attempt_stops(make_store: Callable[..., SourceStore]) -> None:
    store = make_store(TEXTS)
    annotate(store, lengths(), LOCAL)
    for path in store.step("lengths").glob("*.parquet"):
        path.unlink()
    with pytest.raises(SapwoodError, match="another run"):
        list(AnnotateShards(store, lengths(), "another").run())
    assert shard_names(store.step("lengths")) == []


def test_the_order_of_shards_is_that_of_the_documents(make_store: Callable[..., SourceStore], tmp_path: Path) -> None:
    one, two = make_store(TEXTS, shard_documents=3), make_store(TEXTS, name="other", shard_documents=30)
    for store in (one, two):
        annotate(store, lengths(), LOCAL)
    assert column(one, "lengths", "length") == column(two, "lengths", "length")


def test_shards_that_do_not_fit_are_noticed(make_store: Callable[..., SourceStore]) -> None:
    store, other = make_store(TEXTS), make_store(TEXTS[:-1], name="other")
    annotate(store, lengths(), LOCAL)
    annotate(other, lengths(), LOCAL)
    last = f"{store.shards()[-1]}.parquet"
    (store.step("lengths") / last).write_bytes((other.step("lengths") / last).read_bytes())
    with pytest.raises(SapwoodError, match="do not fit together"):
        list(store.read_all({"documents": ["id"], "lengths": ["length"]}))


def test_documents_are_found_by_id(make_store: Callable[..., SourceStore]) -> None:
    store = make_store(TEXTS)
    ids = [value for batch in store.read_all({"documents": ["id"]}) for value in batch["id"].to_pylist()]
    found = store.find([*ids[::9], "0" * 32])
    assert found == {ids[row]: (f"file.jsonl#{row}", TEXTS[row]) for row in range(0, 30, 9)}
