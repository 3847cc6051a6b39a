"""Every document of a small run holds a benchmark item of its own: which are found says which were trained on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exams import write_rows, writing_task
from sapwood.corpus.benchmark_index import BenchmarkIndex
from sapwood.corpus.store import DOCUMENTS, SELECTION, store_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.overlap import find_overlap, read_overlap
from sapwood.mixture.decided import DecidedRun, open_run
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.stream import Stream
from sapwood.mixture.weights import source_of
from sapwood.pipeline.prepare import prepare_run
from sapwood.recipe import Recipe
from sapwood.recipe.suite import Suite
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import read_manifest
from sapwood.runs.metrics import StepMetrics
from sapwood.suites.task_item import load_task_items

pytestmark = pytest.mark.slow

Prepare = Callable[[dict[str, Any]], tuple[Recipe, RunDirectory]]

COUNTS = {"web": 24, "book": 20, "later": 6, "watched": 4}
SUITE = Suite("planted", "", {"sums": writing_task(), "brief": writing_task(name="brief", files="brief.jsonl")})
CHANCE = random.Random(0)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=CHANCE.randint(3, 8))) for _ in range(2000)]


def words(count: int) -> str:
    return " ".join(CHANCE.choices(WORDS, k=count))


ITEMS = {
    source: [{"question": words(20), "answer": f"{source} {number}", "work": words(20)} for number in range(count)]
    for source, count in COUNTS.items()
}
TEXTS = {
    source: [f"{words(15)}.\n{row['question']} {row['work']}\n{words(15)}." for row in rows]
    for source, rows in ITEMS.items()
}


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Prepare:
    """Prepares a run and decides its rounds, with something done to its documents."""

    def make(corpus: dict[str, Any]) -> tuple[Recipe, RunDirectory]:
        directory = tmp_path_factory.mktemp("overlap")
        for source, texts in TEXTS.items():
            write_rows(directory / f"{source}.jsonl", [{"text": text} for text in texts])
        recipe = {
            "name": "overlapping",
            "model": str(tiny_backbone),
            "sequence_length": 64,
            "sources": {source: {"files": f"{source}.jsonl"} for source in COUNTS},
            "corpus": corpus,
            "groups": {"g": {"web": 2, "book": 1}, "l": {"later": 1}},
            "stages": [
                {"name": "one", "tokens": 14000, "mixture": {"g": 1}, "order": {"book": {"by": "tokens"}}},
                {"name": "two", "tokens": 6000, "mixture": {"g": 1, "l": 1}},
            ],
            "holdout": {"share": 0.2},
            "training": {"batch_tokens": 512, "learning_rate": 1e-3},
            "evaluation": {"gain": {"domains": ["g"]}, "retention": {"domains": ["watched"]}},
        }
        (directory / "recipe.yaml").write_text(json.dumps(recipe))
        loaded, run = open_run(directory / "recipe.yaml", (), directory / "runs")
        prepare_run(loaded, run)
        DecidedRun.open(run.root)
        return loaded, run

    return make


@pytest.fixture(scope="module")
def prepared(prepare: Prepare) -> tuple[Recipe, RunDirectory]:
    return prepare({})


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    """The directory of the suite's items."""
    write_rows(tmp_path / "sums.jsonl", [row for rows in ITEMS.values() for row in rows])
    write_rows(tmp_path / "brief.jsonl", [{"question": "two and two", "answer": "4", "work": "so"}])
    return tmp_path


def train_until(run: RunDirectory, position: int) -> Stream:
    """Leaves the log of a run that was trained so far; gives its stream."""
    run.metrics.unlink(missing_ok=True)
    numbers = dict.fromkeys(("loss", "learning_rate", "gradient_norm", "tokens_per_second", "data_wait"), 0.0)
    counts = dict.fromkeys(("step", "tokens", "memory_bytes"), 0)
    rest: dict[str, Any] = {"losses": {}, "skipped": False, "utilisation": None, "seconds": 0.0, "digest": ""}
    StepMetrics(stage="one", position=position, **numbers, **counts, **rest).write(run.metrics)
    return DecidedRun.open(run.root).stream


def planted_before(run: RunDirectory, stream: Stream, position: int, benchmarks: Path) -> set[str]:
    """The ids of the items in the documents that were trained on, looked up position by position."""
    trained = {
        (source_of(sequence.domain), stream.epochs[sequence.domain].store.document_id(span.document))
        for sequence in map(stream.__getitem__, range(position))
        for span in sequence.spans
    }
    ids = {item.answer: item.id for item in load_task_items(SUITE.tasks["sums"], benchmarks).items}
    return {
        ids[f"{source} {origin.as_py().rpartition('#')[2]}"]
        for source in COUNTS
        for batch in store_of(run, source).read_all({DOCUMENTS: ["id", "origin"]})
        for name, origin in zip(batch["id"], batch["origin"], strict=True)
        if (source, name.as_py()) in trained
    }


def documents_to_train_on(run: RunDirectory, source: str) -> int:
    batches = store_of(run, source).read_all({SELECTION: ["split"]})
    return [split for batch in batches for split in batch[f"{SELECTION}.split"].to_pylist()].count("train")


def test_items_are_found_when_their_document_was_trained_on_and_not_before(
    prepared: tuple[Recipe, RunDirectory], benchmarks: Path
) -> None:
    recipe, run = prepared
    decided = Ledger(run.ledger).decided
    sizes = []
    for position in (1, 7, 20, 60, decided // 2, decided):
        stream = train_until(run, position)
        overlap = find_overlap(recipe, run, SUITE, benchmarks)
        expected = planted_before(run, stream, position, benchmarks)
        assert overlap.items == {"sums": expected, "brief": frozenset()}
        assert (overlap.position, overlap.documents) == (position, len(expected))
        sizes.append(len(expected))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 4
    whole = sum(documents_to_train_on(run, source) for source in COUNTS)
    assert sizes[-1] == whole < sum(COUNTS.values()), "none that is held out or for evaluation only"
    assert overlap.looked_for == {"sums": sum(COUNTS.values()), "brief": 1}
    assert overlap.too_short == {"sums": 0, "brief": 1}


def test_what_was_found_can_be_looked_at(prepared: tuple[Recipe, RunDirectory], benchmarks: Path) -> None:
    recipe, run = prepared
    train_until(run, 30)
    overlap = find_overlap(recipe, run, SUITE, benchmarks)
    items = {item.id: item for item in load_task_items(SUITE.tasks["sums"], benchmarks).items}
    assert overlap.finds
    for find in overlap.finds:
        item = items[find.item]
        assert (find.task, find.share) == ("sums", 1)
        assert find.source == item.answer.split()[0]
        assert find.excerpt in f"{item.question} {item.solution}"
        origin = store_of(run, find.source).find([find.document])[find.document].origin
        assert item.answer == origin.replace(".jsonl#", " ")


def test_nothing_is_looked_at_twice(
    prepared: tuple[Recipe, RunDirectory], benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = prepared
    directory = run.overlap("planted")
    shutil.rmtree(directory, ignore_errors=True)
    assert read_overlap(directory) is None
    decided = Ledger(run.ledger).decided
    train_until(run, decided)
    looked: list[str] = []
    find, stop = BenchmarkIndex.find, [20]

    def counting(index: BenchmarkIndex, text: str, overlap: float) -> Any:
        if len(looked) in stop:
            raise KeyboardInterrupt
        looked.append(text)
        return find(index, text, overlap)

    monkeypatch.setattr(BenchmarkIndex, "find", counting)
    with pytest.raises(KeyboardInterrupt):
        find_overlap(recipe, run, SUITE, benchmarks)
    assert read_overlap(directory) is None
    done = {path.parent.name for path in directory.glob("parts/*/*.jsonl")}
    assert done, "a whole shard was looked at"
    looked.clear()
    stop.clear()
    overlap = find_overlap(recipe, run, SUITE, benchmarks)
    assert len(looked) == sum(documents_to_train_on(run, source) for source in COUNTS if source not in done)
    assert {path.name for path in directory.iterdir()} == {"attempt.json", "logs", "manifest.json", "overlap.json"}
    looked.clear()
    assert find_overlap(recipe, run, SUITE, benchmarks) == read_overlap(directory) == overlap
    assert not looked
    other = Suite("planted", "", {"sums": writing_task(limit=5)})
    assert find_overlap(recipe, run, other, benchmarks).looked_for == {"sums": 5}
    assert len(looked) == overlap.documents, "the items are others"
    train_until(run, decided - 1)
    assert find_overlap(recipe, run, other, benchmarks).position == decided - 1
    assert len(looked) > overlap.documents, "the position is another"


def test_a_part_that_somebody_removed_is_made_again(
    prepared: tuple[Recipe, RunDirectory], benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = prepared
    directory = run.overlap("planted")
    train_until(run, 25)
    monkeypatch.setattr("sapwood.evaluation.overlap_search.read_lines", lambda path: path / "is not to be read")
    with pytest.raises(TypeError):
        find_overlap(recipe, run, SUITE, benchmarks)
    monkeypatch.undo()
    next(directory.glob("parts/web/*")).unlink()
    with pytest.raises(SapwoodError, match="is not complete; the same command continues"):
        find_overlap(recipe, run, SUITE, benchmarks)
    overlap = find_overlap(recipe, run, SUITE, benchmarks)
    assert len(overlap.finds) == overlap.documents


def test_what_was_cut_out_before_training_is_not_found_and_the_rule_is_the_recipes(
    prepare: Prepare, benchmarks: Path, tmp_path: Path
) -> None:
    gate = write_rows(tmp_path / "gate.jsonl", ITEMS["web"])
    recipe, run = prepare({"decontamination": {"benchmarks": str(gate), "action": "cut", "ngram": 10}})
    train_until(run, Ledger(run.ledger).decided)
    overlap = find_overlap(recipe, run, SUITE, benchmarks)
    assert {find.source for find in overlap.finds} == {"book", "later"}
    assert overlap.documents > len(overlap.finds), "documents without their item were looked at"
    manifest = read_manifest(run.overlap("planted"))
    assert manifest is not None
    rule = {name: manifest.settings[name] for name in ("suite", "ngram", "overlap")}
    assert rule == {"suite": "planted", "ngram": 10, "overlap": 0.3}


def test_a_run_without_steps_is_refused(prepared: tuple[Recipe, RunDirectory], benchmarks: Path) -> None:
    recipe, run = prepared
    run.metrics.unlink(missing_ok=True)
    with pytest.raises(SapwoodError, match="has trained on nothing yet"):
        find_overlap(recipe, run, SUITE, benchmarks)


def test_a_missing_benchmark_is_named(prepared: tuple[Recipe, RunDirectory], tmp_path: Path) -> None:
    recipe, run = prepared
    with pytest.raises(SapwoodError, match=r"Task 'sums' needs sums\.jsonl"):
        find_overlap(recipe, run, SUITE, tmp_path)
