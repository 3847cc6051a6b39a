"""Whole small runs whose mixture moves: topics, orders, controllers, governor, gates; what the ledger says of them."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from rank_processes import ends, start
from sapwood.corpus.store import store_of
from sapwood.files import read_json, read_lines
from sapwood.mixture.decided import open_run
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.stream import Stream
from sapwood.pipeline.evaluate import evaluate_base
from sapwood.pipeline.prepare import prepare_run
from sapwood.runs.directory import RunDirectory
from small_runs import prepare_and_train, stream_of

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]

SOURCES = {
    "web-zh": {"files": "web-zh.jsonl", "language": "zh"},
    "book-zh": {"files": "book-zh.jsonl", "language": "zh", "max_epochs": 2},
    "web-en": {"files": "web-en.jsonl", "topics": "subjects.yaml"},
    "news-en": {"files": "news-en.jsonl"},
}
CORPUS = {
    "topics": {"labels": {"subjects.yaml": "labels.jsonl"}, "confidence": 0},
    "perplexity": {"sources": ["zh"], "tokens": 64},
}
ROUNDS = "8 steps"


def stage(**fields: object) -> dict[str, object]:
    """A stage of 5,000 tokens with all that a stage can have, unless `fields` say otherwise."""
    return {
        "name": "adaptation",
        "tokens": 5000,
        "mixture": {"zh": 6, "en": 4},
        "order": {"zh": {"by": "perplexity", "bins": 4, "tails": {"head": "5%"}}},
        "controller": {"kind": "perplexity-change", "over": "topics", "every": "3 steps", "noise": 0},
        **fields,
    }


@pytest.fixture
def topical(tiny_recipe: TinyRecipe) -> TinyRecipe:
    """Writes a recipe whose English source has two topics, after what a text begins with."""

    def write(**fields: object) -> Path:
        path = tiny_recipe(**{"sources": SOURCES, "corpus": CORPUS, "stages": [stage()], **fields})
        (path.parent / "subjects.yaml").write_text(
            "name: subjects\nlanguage: en\nrest: Wood\ntopics:\n"
            "  - {name: Heart, description: old}\n  - {name: Wood, description: new}\n"
        )
        labels = []
        for line in (path.parent / "web-en.jsonl").read_text().splitlines():
            text = json.loads(line)["text"]
            labels.append(json.dumps({"text": text, "topic": "Heart" if text[0] < "l" else "Wood"}))
        (path.parent / "labels.jsonl").write_text("\n".join(labels))
        return path

    return write


def decisions(run: RunDirectory) -> list[dict]:
    return [{key: value for key, value in line.items() if key != "time"} for line in read_lines(run.ledger)]


def test_a_run_whose_topics_move(topical: TinyRecipe) -> None:
    path = topical()
    run = prepare_and_train(path)
    ledger, stream = Ledger(run.ledger), stream_of(run)
    assert len(ledger.rounds) == 4
    assert set(ledger.rounds[0].mixture.weights) == {"web-zh", "book-zh", "web-en/Heart", "web-en/Wood"}
    assert ledger.rounds[0].mixture.weights != ledger.rounds[-1].mixture.weights
    for entry in ledger.rounds:
        assert entry.mixture.totals(0)["zh"] == pytest.approx(0.6), "a controller over topics leaves all else alone"
        assert {"web-en/Heart", "web-en/Wood", "web-en", "en", "news-en"} <= set(entry.losses)
        assert entry.reasons
    assert ledger.rounds[0].losses["web-en/Wood"].since_last is None
    assert ledger.rounds[1].losses["web-en/Wood"].since_last is not None

    counts: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    for entry in ledger.rounds:
        for position in range(entry.start, entry.stop):
            counts[stream[position].domain] += 1
            for domain, weight in entry.mixture.weights.items():
                exact[domain] += weight
            assert all(abs(counts[domain] - exact[domain]) < 2 for domain in exact), "exact over rounds, too"

    check_documents(run, stream)


def check_documents(run: RunDirectory, stream: Stream) -> None:
    """Documents are those of their topic, and Chinese ones come by perplexity."""
    topics, scores = {}, {}
    for batch in store_of(run, "web-en").read_all({"documents": ["id"], "topics": ["topic"]}):
        topics |= {row["id"]: row["topics.topic"] for row in pa.table(batch).to_pylist()}
    for batch in store_of(run, "web-zh").read_all({"documents": ["id"], "perplexity": ["nll"]}):
        scores |= {row["id"]: row["perplexity.nll"] for row in pa.table(batch).to_pylist()}
    seen: dict[str, list[str]] = {}
    for position in range(stream.ledger.decided):
        sequence = stream[position]
        store = stream.epochs[sequence.domain].store
        for span in sequence.spans:
            found = seen.setdefault(sequence.domain, [])
            name = store.document_id(span.document)
            if name not in found:
                found.append(name)
    assert {topics[name] for name in seen["web-en/Heart"]} == {"Heart"}
    assert {topics[name] for name in seen["web-en/Wood"]} == {"Wood"}
    order = [scores[name] for name in seen["web-zh"]]
    quarter = len(order) // 4
    means = [sum(order[n * quarter : (n + 1) * quarter]) / quarter for n in range(3)]
    assert means == sorted(means)


@pytest.mark.parametrize(
    "controller",
    [
        {"kind": "excess-loss", "over": "sources", "targets": {"web-zh": 1.0}},
        {"kind": "excess-loss", "over": "groups", "noise": 0},
        {"kind": "learnability", "over": "sources", "prior": 1000, "noise": 0},
        {"kind": "perplexity-change", "over": "sources", "normalise": "relative", "smoothing": 0.5},
    ],
    ids=lambda controller: f"{controller['kind']}-{controller['over']}",
)
def test_every_controller_carries_a_run_to_its_end(topical: TinyRecipe, controller: dict[str, object]) -> None:
    path = topical(stages=[stage(controller={**controller, "every": "2 steps"})])
    run = prepare_and_train(path)
    ledger = Ledger(run.ledger)
    assert ledger.finished_at == ledger.decided == 5000 // 64
    for before, after in zip(ledger.rounds, ledger.rounds[1:], strict=False):
        for level in (0, 1):
            old, new = before.mixture.totals(level), after.mixture.totals(level)
            assert all(abs(new[name] - old[name]) <= 0.0301 for name in old), "at most the step, in points"


def test_the_replay_governor_and_a_gate(topical: TinyRecipe) -> None:
    """A learning rate that does damage: replay rises, and in the end the gate closes the stage."""
    rate = {"batch_tokens": 512, "micro_batch": 2, "precision": "fp32", "learning_rate": 3e-2}
    governed = stage(
        mixture={"zh": 9, "en": 1},
        controller={"every": "2 steps"},
        replay={"groups": ["en"], "least": "5%", "most": "60%", "step": "10%"},
        gate={"retention": 1e6, "flat": 1e-9},
    )
    last = {"name": "annealing", "tokens": 1000, "mixture": {"en": 1}, "sequence_length": 32}
    path = topical(
        stages=[governed, last],
        training=rate,
        evaluation={
            "gain": {"domains": ["zh"]},
            "retention": {"domains": ["en", "news-en"], "margin": 1e-6},
            "samples": {"tokens": 0},
        },
    )
    run = prepare_and_train(path)
    ledger = Ledger(run.ledger)
    shares = [entry.mixture.totals(0)["en"] for entry in ledger.of_stage("adaptation")]
    assert min(shares) >= 0.05
    assert max(shares) <= 0.6
    assert any("eplay" in reason for entry in ledger.rounds for reason in entry.reasons)
    (final,) = ledger.of_stage("annealing")
    assert final.sequence_length == 32
    assert ledger.finished_at == final.stop
    if "adaptation" in ledger.ended:
        assert "ended early" in final.reasons[0]
    assert read_lines(run.metrics)[-1]["tokens"] == ledger.tokens_until(final.stop)


def test_a_domain_that_runs_out_hands_over_its_share(topical: TinyRecipe) -> None:
    sources = {**SOURCES, "book-zh": {**SOURCES["book-zh"], "max_epochs": 0.5}}
    static = {"name": "adaptation", "tokens": 5000, "mixture": {"zh": 6, "en": 4}}
    path = topical(sources=sources, stages=[static])
    run = prepare_and_train(path)
    ledger = Ledger(run.ledger)
    assert len(ledger.rounds) == 2
    assert "book-zh" not in ledger.rounds[1].mixture.weights
    assert any("'book-zh' was gone through as often as it may be" in reason for reason in ledger.rounds[1].reasons)
    there = read_json(run.tokens("book-zh") / "manifest.json")["counts"]["train_tokens"]
    assert ledger.consumed_until(ledger.decided)["book-zh"] <= there / 2
    assert ledger.decided == 5000 // 64


def test_ranks_and_stops_change_no_decision(topical: TinyRecipe) -> None:
    path = topical()
    expected, batches = decisions(prepare_and_train(path)), None
    run = RunDirectory(path.parent / "runs" / "tiny")
    digests = [line["digest"] for line in read_lines(run.metrics)]
    for ranks, stop in ((1, True), (2, False)):
        shutil.rmtree(run.root)
        recipe, run = open_run(path, (), path.parent / "runs")
        prepare_run(recipe, run)
        if ranks > 1:
            evaluate_base(recipe, run)  # on the ranks that do not write, too, it must not be measured again
        if stop:
            [child] = start(path, 1, prepare=False)
            while len(read_lines(run.metrics)) < 5 and child.exitcode is None:
                time.sleep(0.01)
            child.kill()
            child.join()
            batches = len(read_lines(run.metrics))
        assert ends(start(path, ranks, prepare=False))
        found = decisions(run)
        assert [line["event"] for line in found] == [line["event"] for line in expected]
        for one, two in zip(found, expected, strict=True):
            assert one.get("weights") == two.get("weights")
        assert [line["digest"] for line in read_lines(run.metrics)] == digests
    assert batches
