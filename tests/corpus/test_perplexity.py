from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sapwood.backbone.encode import Encoder
from sapwood.corpus import perplexity as module
from sapwood.corpus.annotate import Columns, annotate
from sapwood.corpus.perplexity import PerplexityScores, Score, Scorer, Scores, score_part, score_source
from sapwood.corpus.signals import signals_step
from sapwood.corpus.store import SourceStore, write_shard
from sapwood.errors import SapwoodError
from sapwood.likelihood import documents
from sapwood.recipe.data import Engine
from sapwood.runs.manifest import Manifest

pytestmark = pytest.mark.slow

TEXTS = [
    *(f"the tree number {number} adds a ring of living wood every year " * (1 + number % 4) for number in range(12)),
    *("树木每年长出一圈新的边材" * (1 + number % 3) + str(number) for number in range(8)),
    "x",
]
MakeStore = Callable[..., SourceStore]


@pytest.fixture
def measured(make_store: MakeStore, tiny_backbone: Path) -> MakeStore:
    """Writes the documents of a source, and their signals."""

    def make(texts: Sequence[str], **options: Any) -> SourceStore:
        store = make_store(texts, **options)
        annotate(store, signals_step(store, Encoder.load(tiny_backbone)), Engine(workers=1))
        return store

    return make


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computes in fp32 on machines that are fast at bf16 too: there the numbers agree to a thousandth alone."""
    monkeypatch.setattr(documents, "autocast_type", lambda precision, device: None)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that a model has scored, in order."""
    seen: list[str] = []
    original = Scorer.score

    def score(self: Scorer, texts: Sequence[str]) -> Iterator[dict[int, Score]]:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(Scorer, "score", score)
    return seen


def rows(store: SourceStore) -> list[dict[str, Any]]:
    columns = {"perplexity": [*PerplexityScores.columns, "reason"]}
    found = [row for batch in store.read_all(columns) for row in pa.table(batch).to_pylist()]
    return [{name.removeprefix("perplexity."): value for name, value in row.items()} for row in found]


def say(store: SourceStore, step: str, reasons: list[str | None], **values: list[Any]) -> None:
    """Writes what a step would have written."""
    row = 0
    for shard in store.shards():
        count = sum(len(batch["id"]) for batch in store.read(shard, {"documents": ["id"]}))
        columns = Columns({name: pa.array(found).type for name, found in values.items()})
        for name, found in {**values, "reason": reasons}.items():
            columns.values[name] = found[row : row + count]
        write_shard(store.step(step) / f"{shard}.parquet", columns.table(), columns.account())
        row += count
    Manifest(step=step, inputs={"said": [reasons, values]}, settings={}).write(store.step(step))


def scorer(model: Path, tokens: int | None) -> Scorer:
    return Scorer(model, Encoder.load(model), tokens)


def test_scores_are_those_of_the_model(measured: MakeStore, tiny_backbone: Path, exact: None) -> None:
    import torch

    from sapwood.backbone.load import load_model, load_tokenizer

    store = measured(TEXTS)
    manifest = score_source(store, scorer(tiny_backbone, None), ())
    model, tokenizer = load_model(tiny_backbone), load_tokenizer(tiny_backbone)
    for text, row in zip(TEXTS, rows(store), strict=True):
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        expected = float(model(ids, labels=ids).loss.detach())
        tokens, size = ids.shape[1] - 1, len(text.encode())
        assert row["nll"] == pytest.approx(expected, rel=1e-4)
        assert row["bits_per_byte"] == pytest.approx(expected * tokens / math.log(2) / size, rel=1e-4)
        assert (row["scored_tokens"], row["scored_bytes"], row["reason"]) == (tokens, size, None)
    assert rows(store)[-1]["scored_tokens"] == 1
    assert manifest.counts["documents"] == len(TEXTS)
    assert manifest.counts["dropped"] == 0
    assert score_source(store, scorer(tiny_backbone, None), ()) == manifest


def test_documents_are_scored_as_held_out_ones_are(measured: MakeStore, tiny_backbone: Path, exact: None) -> None:
    from sapwood.backbone.load import load_model
    from sapwood.evaluation.bits import score_texts
    from sapwood.evaluation.held_out import HeldOutText

    encoder = Encoder.load(tiny_backbone)
    texts = [TEXTS[3] * 20, TEXTS[14] * 30, TEXTS[0]]  # the model reads 256 tokens at a time
    held_out = [HeldOutText(str(number), text) for number, text in enumerate(texts)]
    expected = score_texts(
        load_model(tiny_backbone),
        encoder,
        {"web": held_out},
        window=256,
        autocast=None,
        title="",
    )["web"].documents
    store = measured(texts)
    score_source(store, scorer(tiny_backbone, None), ())
    for row, document in zip(rows(store), expected, strict=True):
        assert row["scored_tokens"] == document.tokens
        assert row["scored_bytes"] == document.bytes
        assert row["nll"] * document.tokens == pytest.approx(document.nats, rel=1e-6)
    assert max(row["scored_tokens"] for row in rows(store)) > 1000


@pytest.mark.parametrize("limit", [1, 2, 7, 40, 10_000])
def test_only_the_beginning_is_scored_and_its_bytes_are_exact(
    measured: MakeStore, tiny_backbone: Path, limit: int
) -> None:
    texts = [*TEXTS, "🦉🌋" * 5]  # characters of several tokens each
    store = measured(texts)
    score_source(store, scorer(tiny_backbone, limit), ())
    encoder = Encoder.load(tiny_backbone)
    for text, row in zip(texts, rows(store), strict=True):
        ids = encoder.encode_batch([text])[0].tolist()
        assert row["scored_tokens"] == min(limit, len(ids))
        # What is left over spells the rest: characters that are cut in two count on neither side.
        before, rest = (encoder.decode(part).strip("\ufffd") for part in (ids[:limit], ids[limit:]))
        assert len(before.encode()) <= row["scored_bytes"] <= len(text.encode()) - len(rest.encode())
        if text.startswith(encoder.decode(ids[:limit])):
            assert row["scored_bytes"] == len(before.encode())


def test_the_beginning_of_a_long_document_is_that_of_the_whole(measured: MakeStore, tiny_backbone: Path) -> None:
    text = "".join(TEXTS[:12])
    store = measured([text * 50, text])
    score_source(store, scorer(tiny_backbone, 16), ())
    long, short = rows(store)
    assert long["nll"] == pytest.approx(short.pop("nll"), rel=1e-6)
    assert long["scored_tokens"] == short["scored_tokens"] == 16
    assert long["scored_bytes"] == short["scored_bytes"]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_work(
    measured: MakeStore,
    tiny_backbone: Path,
    monkeypatch: pytest.MonkeyPatch,
    scored: list[str],
    ranks: int,
) -> None:
    monkeypatch.setattr(module, "CHUNK_TOKENS", 100)
    one, many = measured(TEXTS), measured(TEXTS, name="many")
    score_source(one, scorer(tiny_backbone, None), ())
    scored.clear()
    for rank in reversed(range(ranks)):
        score_part(many, scorer(tiny_backbone, None), (), rank, ranks)
    assert sorted(scored) == sorted(TEXTS)
    (notes,) = many.step("perplexity").glob("scores-*")
    assert sorted(path.name for path in notes.iterdir()) == [
        f"{rank:05d}-of-{ranks:05d}.jsonl" for rank in range(ranks)
    ]
    score_source(many, scorer(tiny_backbone, None), ())
    assert len(scored) == len(TEXTS)
    assert rows(many) == rows(one)


@pytest.mark.parametrize("turns", [1, 2, 50])
def test_however_the_turns_fall_all_is_scored_once(
    measured: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, scored: list[str], turns: int
) -> None:
    monkeypatch.setattr(module, "CHUNK_TOKENS", 20)
    monkeypatch.setattr(module, "TURNS", turns)
    store = measured(TEXTS)
    for rank in range(2):
        score_part(store, scorer(tiny_backbone, 5), (), rank, 2)
    assert sorted(scored) == sorted(TEXTS)


def test_nothing_is_scored_twice(measured: MakeStore, tiny_backbone: Path, scored: list[str]) -> None:
    store = measured(TEXTS)
    say(store, "language", ["foreign" if number % 3 == 0 else None for number in range(len(TEXTS))])
    score_source(store, scorer(tiny_backbone, 50), ("language",))
    assert scored == [text for number, text in enumerate(TEXTS) if number % 3]
    assert [row["nll"] is None for row in rows(store)] == [number % 3 == 0 for number in range(len(TEXTS))]
    before = rows(store)
    scored.clear()
    say(store, "language", ["foreign" if number % 5 == 0 else None for number in range(len(TEXTS))])
    score_source(store, scorer(tiny_backbone, 50), ("language",))
    assert scored == [text for number, text in enumerate(TEXTS) if number % 3 == 0 and number % 5]
    assert [row["nll"] is None for row in rows(store)] == [number % 5 == 0 for number in range(len(TEXTS))]
    for number, (old, new) in enumerate(zip(before, rows(store), strict=True)):
        assert number % 3 == 0 or number % 5 == 0 or old == new


def test_when_all_is_known_no_model_is_loaded(
    measured: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = measured(TEXTS)
    say(store, "language", [None] * len(TEXTS))
    score_source(store, scorer(tiny_backbone, 50), ())
    monkeypatch.setattr(documents, "DocumentModel", None)
    score_source(store, scorer(tiny_backbone, 50), ("language",))
    with pytest.raises(AttributeError):
        score_source(store, scorer(tiny_backbone, 51), ("language",))


def test_what_is_cut_out_is_not_scored(measured: MakeStore, tiny_backbone: Path, scored: list[str]) -> None:
    store = measured(["keep this\nleak\nand this", "all of it"])
    cuts: list[list[dict[str, int]]] = [[{"start": 10, "end": 15}], []]
    say(store, "contamination", [None, None], cuts=cuts)
    score_source(store, scorer(tiny_backbone, None), ("contamination",))
    assert scored == ["keep this\nand this", "all of it"]
    assert [row["scored_bytes"] for row in rows(store)] == [len(text) for text in scored]
    # Another cut leaves another text, which has no score yet.
    say(store, "contamination", [None, None], cuts=[[{"start": 0, "end": 15}], []])
    score_source(store, scorer(tiny_backbone, None), ("contamination",))
    assert scored[2:] == ["and this"]
    assert rows(store)[0]["scored_bytes"] == len("and this")


@pytest.mark.parametrize("texts", [[], ["dropped"], [""]])
def test_sources_of_next_to_nothing(measured: MakeStore, tiny_backbone: Path, texts: list[str]) -> None:
    store = measured(texts)
    say(store, "language", ["foreign" if text else None for text in texts])
    manifest = score_source(store, scorer(tiny_backbone, 9), ("language",))
    assert manifest.counts["documents"] == texts.count("")
    assert [row["nll"] for row in rows(store)] == [None] * len(texts)


def test_the_steps_before_must_be_done(make_store: MakeStore, tiny_backbone: Path) -> None:
    store = make_store(TEXTS)
    with pytest.raises(SapwoodError, match="signals is not complete"):
        score_part(store, scorer(tiny_backbone, 9), ())
    annotate(store, signals_step(store, Encoder.load(tiny_backbone)), Engine(workers=1))
    with pytest.raises(SapwoodError, match="duplicates is not complete"):
        score_part(store, scorer(tiny_backbone, 9), ("duplicates",))


SLOWLY = """
import sys, time
from pathlib import Path
from sapwood.corpus import perplexity
from sapwood.corpus.store import SourceStore
from sapwood.likelihood import batch
batch.BATCH_TOKENS = {"cpu": 120}
perplexity.WRITE_SECONDS = 0
write = perplexity.write_scores
perplexity.write_scores = lambda path, scores: (write(path, scores), time.sleep(0.5))
model = Path(sys.argv[2])
scorer = perplexity.Scorer(model, perplexity.Encoder.load(model), 50)
perplexity.score_source(SourceStore(Path(sys.argv[1])), scorer, ())
"""


def test_a_kill_costs_some_seconds(
    measured: MakeStore, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, scored: list[str]
) -> None:
    monkeypatch.setattr("sapwood.likelihood.batch.BATCH_TOKENS", {"cpu": 120})
    whole, store = measured(TEXTS), measured(TEXTS, name="killed")
    score_source(whole, scorer(tiny_backbone, 50), ())
    scored.clear()
    child = subprocess.Popen([sys.executable, "-c", SLOWLY, str(store.directory), str(tiny_backbone)])
    while child.poll() is None and _lines(store) < 3:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    (notes,) = store.step("perplexity").glob("scores-*")
    known = len(Scores.read(notes))
    assert 0 < known < len(TEXTS)
    score_source(store, scorer(tiny_backbone, 50), ())
    assert len(scored) == len(TEXTS) - known
    assert rows(store) == rows(whole)


def _lines(store: SourceStore) -> int:
    return sum(path.read_bytes().count(b"\n") for path in store.step("perplexity").glob("scores-*/*.jsonl"))
