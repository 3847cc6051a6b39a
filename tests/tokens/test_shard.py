from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sapwood.backbone.encode import Encoder
from sapwood.backbone.tokenizer import Delimiters
from sapwood.corpus import ingest as ingest_module
from sapwood.corpus.ingest import ingest
from sapwood.corpus.selection import HoldoutRule, select
from sapwood.corpus.store import SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Engine, Normalise, Source
from sapwood.runs.manifest import Manifest, read_manifest
from sapwood.tokens import shard
from sapwood.tokens.shard import encode_source, held_out_hashes
from sapwood.tokens.store import TokenStore

pytestmark = pytest.mark.slow

TEXTS = [f"document {number} <|im_end|> 年轮 " * (1 + number % 4) for number in range(60)]


def make_corpus(root: Path, name: str, texts: list[str], share: Fraction = Fraction(1, 4)) -> SourceStore:
    file = root / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    store = SourceStore(root / name)
    ingest(store, Source(files=[str(file)]), Normalise(), Engine())
    select(store, (), HoldoutRule(share, "sapwood"))
    return store


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceStore:
    monkeypatch.setattr(ingest_module, "SHARD_BYTES", 400)
    return make_corpus(tmp_path, "web", TEXTS)


@pytest.fixture
def encoder(tokenizer_directory: Path) -> Encoder:
    return Encoder.load(tokenizer_directory)


def rows(corpus: SourceStore) -> list[dict[str, str]]:
    columns = {"documents": ["id", "text"], "selection": ["split"]}
    found = [row for batch in corpus.read_all(columns) for row in pa.table(batch).to_pylist()]
    return [{**row, "split": row["selection.split"]} for row in found]


def documents(store: TokenStore) -> list[list[int]]:
    """The ids of every document, its end-of-text token the last."""
    found = [np.empty(int(length), np.int64) for length in store.lengths()]
    for number, ids in enumerate(found):
        store.copy(number, 0, ids)
    return [ids.tolist() for ids in found]


def texts(store: TokenStore, encoder: Encoder) -> list[str]:
    return [encoder.decode(ids[:-1]) for ids in documents(store)]


def files(directory: Path) -> dict[str, bytes]:
    found = [path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def test_both_splits_hold_what_was_prepared(corpus: SourceStore, encoder: Encoder, tmp_path: Path) -> None:
    manifest = encode_source(corpus, tmp_path / "tokens", encoder, held_out_hashes([corpus]))
    assert manifest == read_manifest(tmp_path / "tokens")
    assert manifest.reasons == {}
    assert manifest.versions["fastokens"]
    assert len(corpus.shards()) > 5
    for split in ("train", "holdout"):
        expected = [row for row in rows(corpus) if row["split"] == split]
        store = TokenStore(tmp_path / "tokens", split)
        assert texts(store, encoder) == [row["text"] for row in expected]
        assert [store.document_id(number) for number in range(store.documents)] == [row["id"] for row in expected]
        assert (manifest.counts[f"{split}_documents"], manifest.counts[f"{split}_tokens"]) == (
            store.documents,
            store.tokens,
        )
        assert [ids.count(encoder.delimiters.end) for ids in documents(store)] == [1] * store.documents
        assert all(ids[-1] == encoder.delimiters.end for ids in documents(store))
        shard_ids = {
            shard: [row for b in corpus.read(shard, {"documents": ["id"]}) for row in b["id"].to_pylist()]
            for shard in corpus.shards()
        }
        for number in range(store.documents):
            shard, row = store.origin(number)
            assert shard_ids[shard][row] == store.document_id(number)


def test_the_account_balances(corpus: SourceStore, encoder: Encoder, tmp_path: Path) -> None:
    counts = encode_source(corpus, tmp_path / "tokens", encoder, held_out_hashes([corpus])).counts
    for kind in ("documents", "tokens"):
        assert counts[kind] == sum(counts[f"{part}_{kind}"] for part in ("train", "holdout", "dropped"))
    ids, _ = encoder.encode_batch(TEXTS)
    assert counts["tokens"] == len(ids) + len(TEXTS)


def test_copies_of_held_out_documents_of_any_source_are_dropped(
    corpus: SourceStore, encoder: Encoder, tmp_path: Path
) -> None:
    for_training = [row["text"] for row in rows(corpus) if row["split"] == "train"]
    wrapped = [text.replace(" ", " \n ") for text in for_training[:7]]
    watched = make_corpus(tmp_path, "watched", wrapped, Fraction(1))
    held_out = held_out_hashes([corpus, watched])
    assert (np.diff(held_out.astype(np.float64)) > 0).all()
    manifest = encode_source(corpus, tmp_path / "tokens", encoder, held_out)
    assert manifest.reasons == {"copy of a held-out document": 7}
    assert manifest.counts["dropped_documents"] == 7
    assert texts(TokenStore(tmp_path / "tokens", "train"), encoder) == for_training[7:]
    encode_source(watched, tmp_path / "watched-tokens", encoder, held_out)
    assert TokenStore(tmp_path / "watched-tokens", "train").documents == 0
    assert texts(TokenStore(tmp_path / "watched-tokens", "holdout"), encoder) == wrapped


def test_documents_without_tokens_are_dropped(
    corpus: SourceStore, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Encoder.encode_batch

    def deaf(self: Encoder, texts: list[str]) -> object:
        return original(self, ["" if "document 9 " in text else text for text in texts])

    monkeypatch.setattr(Encoder, "encode_batch", deaf)
    manifest = encode_source(corpus, tmp_path / "tokens", encoder, held_out_hashes([]))
    assert manifest.reasons == {"no tokens": 1}
    assert manifest.counts["dropped_tokens"] == 1


def test_is_not_done_again_unless_something_changed(
    corpus: SourceStore, encoder: Encoder, tokenizer_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []
    original = shard._encode_shard
    monkeypatch.setattr(
        shard, "_encode_shard", lambda rows, target, *rest: (done.append(target), original(rows, target, *rest))
    )
    held_out, directory = held_out_hashes([corpus]), tmp_path / "tokens"
    first = encode_source(corpus, directory, encoder, held_out)
    number = len(done)
    assert encode_source(corpus, directory, encoder, held_out) == first
    assert len(done) == number
    encode_source(corpus, directory, encoder, held_out[1:])
    assert len(done) == 2 * number
    encode_source(corpus, directory, Encoder.load(tokenizer_directory, eos=0), held_out[1:])
    assert len(done) == 3 * number
    assert all(ids[-1] == 0 for ids in documents(TokenStore(directory, "train")))


def test_stopped_work_goes_on_after_its_last_shard(
    corpus: SourceStore, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = held_out_hashes([corpus])
    whole = encode_source(corpus, tmp_path / "whole", encoder, held_out)
    original = shard.write_json

    class StopError(Exception):
        pass

    budget = 0

    def stopping(path: Path, value: object, **options: bool) -> None:
        nonlocal budget
        budget -= path.name == "account.json"
        if budget < 0:
            raise StopError
        original(path, value, **options)

    monkeypatch.setattr(shard, "write_json", stopping)
    resumed: Manifest | None = None
    attempts = 0
    while resumed is None:
        budget, attempts = 3, attempts + 1
        try:
            resumed = encode_source(corpus, tmp_path / "out", encoder, held_out)
        except StopError:
            assert read_manifest(tmp_path / "out") is None
            with pytest.raises(SapwoodError, match="not complete"):
                TokenStore(tmp_path / "out", "train")
    assert attempts > 3
    assert resumed == whole
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_an_unprepared_source_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(SapwoodError, match="not complete"):
        encode_source(SourceStore(tmp_path / "none"), tmp_path / "tokens", encoder, held_out_hashes([]))


def test_documents_begin_as_the_models_texts_do(corpus: SourceStore, encoder: Encoder, tmp_path: Path) -> None:
    plain = encode_source(corpus, tmp_path / "plain", encoder, held_out_hashes([corpus]))
    begun = Encoder(encoder.content, Delimiters((0, 1), 2, (0, 1)))
    manifest = encode_source(corpus, tmp_path / "begun", begun, held_out_hashes([corpus]))
    assert (manifest.settings["begin"], manifest.fingerprint != plain.fingerprint) == ([0, 1], True)
    for split in ("train", "holdout"):
        before, after = (documents(TokenStore(tmp_path / name, split)) for name in ("plain", "begun"))
        assert after == [[0, 1, *ids] for ids in before]
        assert manifest.counts[f"{split}_tokens"] == sum(map(len, after))
    assert manifest.counts["tokens"] == plain.counts["tokens"] + 2 * plain.counts["documents"]
