"""A whole small run: what it trains on, what it costs to kill it, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rank_processes import SECONDS, ends, hang, start, started, warm
from sapwood.corpus.store import store_of
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.mixture.ledger import Ledger
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.train import train_run
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import StepMetrics
from sapwood.training import log
from sapwood.training.checkpoint import CheckpointTensors
from sapwood.training.engine import Engine
from sapwood.training.guard import Watch
from sapwood.training.loader import StepInput
from sapwood.training.watchdog import STALLED
from small_runs import prepare_and_train, stream_of

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def finished(plain: RunDirectory, tmp_path: Path) -> tuple[Path, RunDirectory]:
    """A copy of the run, for those that go on with it."""
    shutil.copytree(plain.root.parent.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "recipe.yaml", RunDirectory(tmp_path / "runs" / plain.root.name)


GOLDEN = [5.9891, 5.9663, 5.9037, 5.7781, 5.6584, 5.5194]


def test_losses_are_those_of_before(plain: RunDirectory) -> None:
    """Guards refactoring. A change that is meant to change the numbers changes these, and says so."""
    losses = [line["loss"] for line in read_lines(plain.metrics)]
    assert losses[: len(GOLDEN)] == pytest.approx(GOLDEN, abs=2e-4)
    assert losses[-1] < 5.2


def test_the_token_account_balances(plain: RunDirectory) -> None:
    run, stream = plain, stream_of(plain)
    ledger = stream.ledger
    assert ledger.finished_at == ledger.rounds[-1].stop
    total = ledger.rounds[-1].stop
    trained: Counter[str] = Counter()
    for position in range(total):
        sequence = stream[position]
        assert sum(span.length for span in sequence.spans) == 64
        trained[sequence.domain] += len(sequence.tokens)
    assert dict(trained) == ledger.consumed_until(total)
    assert total == 7000 // 64
    for source in ("web-zh", "book-zh", "web-en", "news-en"):
        counts = json.loads((run.tokens(source) / "manifest.json").read_text())["counts"]
        read, selected = (store_of(run, source).manifest(step).counts for step in ("documents", "selection"))
        assert read["documents_read"] == read["quarantined"] + read["documents"]
        assert read["documents"] == selected["dropped"] + counts["documents"]
        assert counts["documents"] == sum(counts[f"{part}_documents"] for part in ("train", "holdout", "dropped"))


def test_held_out_documents_are_never_trained_on(plain: RunDirectory) -> None:
    import pyarrow as pa

    run = plain
    held_out, texts = set(), {}
    for source in ("web-zh", "book-zh", "web-en", "news-en"):
        for batch in store_of(run, source).read_all({"documents": ["id", "text"], "selection": ["split"]}):
            for row in pa.table(batch).to_pylist():
                texts[row["id"]] = row["text"]
                if row["selection.split"] == "holdout":
                    held_out.add(row["id"])
    assert held_out
    stream = stream_of(run)
    trained = set()
    for position in range(stream.ledger.rounds[-1].stop):
        sequence = stream[position]
        trained |= {stream.epochs[sequence.domain].store.document_id(span.document) for span in sequence.spans}
    assert not trained & held_out
    assert not {texts[document] for document in trained} & {texts[document] for document in held_out}


def test_micro_batches_do_not_change_the_step(tiny_recipe: TinyRecipe) -> None:
    losses = {}
    for size in (1, 8):
        run = prepare_and_train(tiny_recipe(name=f"micro-{size}"), (f"training.micro_batch={size}",))
        losses[size] = [line["loss"] for line in read_lines(run.metrics)]
    assert losses[1] == pytest.approx(losses[8], abs=2e-5)


def test_ranks_do_not_change_the_run(plain: RunDirectory, tiny_recipe: TinyRecipe) -> None:
    losses, batches = {}, {}
    for ranks in (1, 2, 4):
        run = plain
        if ranks > 1:
            path = tiny_recipe(name=f"ranks-{ranks}")
            recipe, run = open_run(path, (), path.parent / "runs")
            prepare_run(recipe, run)
            assert ends(start(path, ranks, prepare=False))
        losses[ranks] = [line["loss"] for line in read_lines(run.metrics)]
        stream = stream_of(run)
        batches[ranks] = np.stack([stream[position].tokens for position in range(stream.ledger.rounds[-1].stop)])
    assert losses[2] == pytest.approx(losses[1], abs=2e-5)
    assert losses[4] == pytest.approx(losses[1], abs=2e-5)
    assert np.array_equal(batches[1], batches[2])
    assert np.array_equal(batches[1], batches[4])


SHORT = [
    {"name": "adaptation", "tokens": 2500, "mixture": {"zh": 8, "en": 2}},
    {"name": "enhancement", "tokens": 1000, "mixture": {"zh": 1, "en": 1}},
]
"""Five steps and two; a checkpoint after every other, and after each stage."""


@pytest.mark.parametrize(("kills", "ranks"), [(5, [1]), (2, [2]), (4, [1, 2, 4, 2])])
def test_kills_lose_nothing_but_time(tiny_recipe: TinyRecipe, kills: int, ranks: list[int]) -> None:
    """kill -9 at random moments, of several ranks after a random step: a run that ends has trained on the stream of one
    left alone, whatever the ranks.

    On ranks that stay the same it ends in the same bits, and everything it has written is the same.
    """
    path = tiny_recipe(stages=SHORT)
    recipe = json.loads(path.read_text())
    recipe["training"]["checkpoints"]["every"] = "2 steps"
    path.write_text(json.dumps(recipe))
    run = path.parent / "runs" / "tiny"
    if ranks != [1]:  # alone, preparing is killed as well
        recipe, directory = open_run(path, (), run.parent)
        prepare_run(recipe, directory)
    prepared = run.with_name("prepared")
    if run.exists():
        shutil.copytree(run, prepared)

    def go_on(ranks: int, seconds: float, after: int = 0) -> bool:
        if not run.exists() and prepared.exists():
            shutil.copytree(prepared, run)
        children = start(path, ranks)
        while len(read_lines(run / "metrics.jsonl")) < after and all(child.is_alive() for child in children):
            time.sleep(0.01)
        return ends(children, seconds)

    warm()
    started = time.monotonic()
    assert go_on(ranks[0], SECONDS)
    duration = time.monotonic() - started
    reference = RunDirectory(run.rename(run.with_name("reference")))
    chance, done = random.Random(0), 0
    while done < kills:
        if ranks == [1]:
            ended = go_on(1, chance.uniform(0.02, 1.0) * duration)
        else:  # so many start at their own pace
            ended = go_on(ranks[done % len(ranks)], chance.uniform(0.0, 0.3) * duration, chance.randint(0, 7))
        if ended:
            compare_and_remove(reference, RunDirectory(run), exact=len(ranks) == 1)
        else:
            done += 1
    assert go_on(ranks[-1], SECONDS)
    compare_and_remove(reference, RunDirectory(run), exact=len(ranks) == 1)


def compare_and_remove(one: RunDirectory, other: RunDirectory, *, exact: bool) -> None:
    expected, found = _lines(one.metrics), _lines(other.metrics)
    if exact:
        assert same(weights(one), weights(other))
        assert _lines(one.ledger) == _lines(other.ledger)
        assert expected == found
    assert [(line["step"], line["position"], line["digest"]) for line in expected] == [
        (line["step"], line["position"], line["digest"]) for line in found
    ]
    assert [line["loss"] for line in expected] == pytest.approx([line["loss"] for line in found], abs=1e-4)
    assert not [path for path in other.root.rglob(".*") if path.name.endswith((".tmp", ".old"))]
    shutil.rmtree(other.root)


def _lines(path: Path) -> list[dict]:
    """The lines of a run's file, without what may differ from run to run."""
    varying = ("time", "seconds", "tokens_per_second", "data_wait", "memory_bytes")
    return [{key: value for key, value in line.items() if key not in varying} for line in read_lines(path)]


def test_ctrl_c_saves_and_stops(plain: RunDirectory, tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    command = [sys.executable, "-m", "sapwood", "train", str(path), "--runs", str(path.parent / "runs")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not run.metrics.exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, messages = child.communicate(timeout=600)
    assert child.returncode == 130
    assert "The same command continues" in messages
    assert not run.model.exists()
    prepare_and_train(path)
    assert same(weights(run), weights(plain))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("seed=1",), "seed: 0 -> 1"),
        (("stages.adaptation.mixture.zh=3",), "stages.0.mixture.zh: 8 -> 3"),
        (("evaluation.retention.margin=0.5",), "evaluation.retention.margin: 0.05 -> 0.5"),
    ],
)
def test_a_begun_run_refuses_another_recipe(
    finished: tuple[Path, RunDirectory], change: tuple[str, ...], expected: str
) -> None:
    path, _ = finished
    with pytest.raises(SapwoodError, match=expected.replace(".", r"\.")):
        prepare_and_train(path, change)


def test_a_begun_run_refuses_other_texts_and_another_model(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe(stages=SHORT)
    run = prepare_and_train(path)
    with (path.parent / "web-en.jsonl").open("a") as file:
        file.write('{"text": "one more document, which was not there before"}\n')
    with pytest.raises(SapwoodError, match="The source 'web-en' is not what the run"):
        prepare_and_train(path)
    with pytest.raises(SapwoodError, match="begun with another model"):
        Ledger(run.ledger).begin({**Ledger(run.ledger).identity, "model": "another"})


def test_what_does_not_touch_the_training_may_change(finished: tuple[Path, RunDirectory]) -> None:
    path, run = finished
    before = weights(run)
    prepare_and_train(path, ("training.checkpoints.keep=5", "evaluation.bytes=1KiB"))
    assert same(weights(run), before)


def test_a_finished_run_goes_on_with_another_stage(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe(training=SCHEDULED_BY_STEP)
    run = prepare_and_train(path)
    before, rounds = weights(run), Ledger(run.ledger).rounds
    recipe = json.loads(path.read_text())
    recipe["stages"].append({"name": "annealing", "tokens": 1000, "mixture": {"en": 1}})
    path.write_text(json.dumps(recipe))
    prepare_and_train(path)
    ledger = Ledger(run.ledger)
    assert [entry.to_json() for entry in ledger.rounds[:2]] == [entry.to_json() for entry in rounds]
    assert ledger.finished_at == ledger.rounds[2].stop == 8000 // 64
    assert not same(weights(run), before)


SCHEDULED_BY_STEP = {"batch_tokens": 512, "precision": "fp32", "learning_rate": 1e-3}


def test_training_needs_prepared_sources(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    recipe, run = open_run(path, (), path.parent / "runs")
    with pytest.raises(SapwoodError, match="'web-zh' is not prepared yet"):
        train_run(recipe, plan_or_refuse(recipe, run, path), run)


def test_losses_that_are_no_numbers_stop_the_run(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    with pytest.raises(SapwoodError, match=r"(?s)9 of the last 1,000 steps were skipped.*step 2: loss"):
        prepare_and_train(path, ("training.learning_rate.peak=1e30", "training.optimizer.clip=null"))


@pytest.fixture
def flagged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the guard find fault with the batches that begin at some positions, and the log be read at once."""

    def flag(*positions: int) -> None:
        whole, current = Engine.step, []

        def step(engine: Engine, inputs: StepInput, *others: object) -> torch.Tensor:
            current[:] = [inputs.positions.start]
            return whole(engine, inputs, *others)

        monkeypatch.setattr(Engine, "step", step)
        monkeypatch.setattr(Watch, "judge", lambda *_: torch.tensor(float(current[0] in positions)))
        monkeypatch.setattr(log, "READING", 0.0)

    return flag


def test_a_step_is_skipped_and_its_documents_are_named(tiny_recipe: TinyRecipe, flagged: Callable[..., None]) -> None:
    flagged(32)
    run = prepare_and_train(tiny_recipe())
    metrics = read_lines(run.metrics)
    assert [line["step"] for line in metrics if line["skipped"]] == [5]
    skipped, *others = Ledger(run.ledger).skipped_steps
    assert not others
    assert (skipped.action, skipped.step, skipped.start, skipped.stop) == ("skip", 5, 32, 40)
    named = {(line["source"], line["document"]) for line in read_lines(run.skipped)}
    stream = stream_of(run)
    expected = {
        (sequence.domain, stream.epochs[sequence.domain].store.document_id(span.document))
        for sequence in (stream[position] for position in range(32, 40))
        for span in sequence.spans
    }
    assert named == expected
    assert Ledger(run.ledger).finished_at == 7000 // 64


def test_a_skipped_step_changes_nothing_but_the_log(tiny_recipe: TinyRecipe, flagged: Callable[..., None]) -> None:
    """All steps but the first are skipped: what is left is the model after one step."""
    flagged(*range(8, 78, 8), 78, 86, 94, 102)
    limit = "training.guard.limit=100"
    run = prepare_and_train(tiny_recipe(), (limit,))
    first = CheckpointTensors(run.checkpoints / sorted(path.name for path in run.checkpoints.iterdir())[-1])
    assert not any(tensor.ne(1).any() for name, tensor in first.items() if name.endswith("/step"))


def test_a_run_is_rolled_back_and_passes_over_the_batch(tiny_recipe: TinyRecipe, flagged: Callable[..., None]) -> None:
    flagged(40)
    run = prepare_and_train(tiny_recipe(), ("training.guard.action=roll-back",))
    metrics = read_lines(run.metrics)
    assert [line["step"] for line in metrics] == list(range(1, len(metrics) + 1))
    assert [line["step"] for line in metrics if line["skipped"]] == [6]
    assert metrics[5]["loss"] is None
    (skipped,) = Ledger(run.ledger).skipped_steps
    assert (skipped.action, skipped.step, skipped.start, skipped.stop) == ("roll-back", 6, 40, 48)
    assert Ledger(run.ledger).finished_at == 7000 // 64


def test_a_rank_that_hangs_says_where(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe()
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    errors = tmp_path / "errors.txt"
    (child,) = started(hang, [(path, errors, "training.parallel.timeout=2s")])
    child.join(120)
    assert child.exitcode == STALLED
    report = (run.stalls / "rank-0.txt").read_text()
    assert "Rank 0 on" in report
    assert "waiting for the batch of step 1" in report
    assert "sleep_well" in report
    assert report in errors.read_text()


def test_a_full_disk_is_explained_and_the_run_continues(
    plain: RunDirectory, tiny_recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_recipe()
    run = RunDirectory(path.parent / "runs" / "tiny")
    whole, written = StepMetrics.write, []

    def write(metrics: StepMetrics, where: Path) -> None:
        written.append(metrics.step)
        if metrics.step == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(metrics, where)

    monkeypatch.setattr(StepMetrics, "write", write)
    with pytest.raises(SapwoodError, match=r"no space left on the device of .*run the same"):
        prepare_and_train(path)
    assert max(written) == 7
    monkeypatch.setattr(StepMetrics, "write", whole)
    prepare_and_train(path)
    assert same(weights(run), weights(plain))
    assert [line["step"] for line in read_lines(run.metrics)] == list(range(1, 15))
