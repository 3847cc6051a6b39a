"""A whole small run: what it trains on, what it costs to kill it, and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
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
from small_runs import prepare_and_train, stream_of

from sapwood.cli.common import open_run, plan_or_refuse
from sapwood.cli.prepare import prepare_run
from sapwood.cli.train import train_run
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.files import read_lines
from sapwood.mixture.ledger import Ledger

TinyRecipe = Callable[..., Path]


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def finished(tiny_recipe: TinyRecipe) -> tuple[Path, RunDirectory]:
    path = tiny_recipe()
    return path, prepare_and_train(path)


GOLDEN = [5.9891, 5.9663, 5.9037, 5.7781, 5.6584, 5.5194]


def test_losses_are_those_of_before(finished: tuple[Path, RunDirectory]) -> None:
    """Guards refactoring. A change that is meant to change the numbers changes these, and says so."""
    _, run = finished
    losses = [line["loss"] for line in read_lines(run.metrics)]
    assert losses[: len(GOLDEN)] == pytest.approx(GOLDEN, abs=2e-4)
    assert losses[-1] < 5.2


def test_the_token_account_balances(finished: tuple[Path, RunDirectory]) -> None:
    _, run = finished
    stream = stream_of(run)
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
        read, selected = (run.corpus(source).manifest(step).counts for step in ("documents", "selection"))
        assert read["documents_read"] == read["quarantined"] + read["documents"]
        assert read["documents"] == selected["dropped"] + counts["documents"]
        assert counts["documents"] == sum(counts[f"{part}_documents"] for part in ("train", "holdout", "dropped"))


def test_held_out_documents_are_never_trained_on(finished: tuple[Path, RunDirectory]) -> None:
    import pyarrow as pa

    _, run = finished
    held_out, texts = set(), {}
    for source in ("web-zh", "book-zh", "web-en", "news-en"):
        for batch in run.corpus(source).read_all({"documents": ["id", "text"], "selection": ["split"]}):
            for row in pa.table(batch).to_pylist():
                texts[row["id"]] = row["text"]
                if row["selection.split"] == "holdout":
                    held_out.add(row["id"])
    assert held_out
    stream = stream_of(run)
    trained = set()
    for position in range(stream.ledger.rounds[-1].stop):
        sequence = stream[position]
        trained |= {stream.passes[sequence.domain].store.document_id(span.document) for span in sequence.spans}
    assert not trained & held_out
    assert not {texts[document] for document in trained} & {texts[document] for document in held_out}


def test_micro_batches_do_not_change_the_step(tiny_recipe: TinyRecipe) -> None:
    losses = {}
    for size in (1, 8):
        run = prepare_and_train(tiny_recipe(name=f"micro-{size}"), (f"training.micro_batch={size}",))
        losses[size] = [line["loss"] for line in read_lines(run.metrics)]
    assert losses[1] == pytest.approx(losses[8], abs=2e-5)


def test_ranks_do_not_change_the_run(tiny_recipe: TinyRecipe) -> None:
    losses, batches = {}, {}
    for ranks in (1, 2, 4):
        path = tiny_recipe(name=f"ranks-{ranks}")
        recipe, run = open_run(path, (), path.parent / "runs")
        prepare_run(recipe, run)
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--master-port=29517"]
        command += ["-m", "sapwood", "train", str(path), "--runs", str(path.parent / "runs")]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
        losses[ranks] = [line["loss"] for line in read_lines(run.metrics)]
        stream = stream_of(run)
        batches[ranks] = np.stack([stream[position].tokens for position in range(stream.ledger.rounds[-1].stop)])
    assert losses[2] == pytest.approx(losses[1], abs=2e-5)
    assert losses[4] == pytest.approx(losses[1], abs=2e-5)
    assert np.array_equal(batches[1], batches[2])
    assert np.array_equal(batches[1], batches[4])


def test_twenty_kills_lose_nothing_but_time(tiny_recipe: TinyRecipe) -> None:
    """kill -9 at random moments of prepare and train: each run that ends is, to the bit, one left alone."""
    path = tiny_recipe()
    reference = prepare_and_train(path)
    expected, ledger, metrics = weights(reference), _lines(reference.ledger), _lines(reference.metrics)
    duration = _timed(path)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["sapwood.training.loop", "sapwood.evaluation.yardstick", "transformers.models.llama"]
    )
    chance, kills, ended = random.Random(0), 0, 0
    while kills < 20:
        child = context.Process(target=prepare_and_train, args=(path,))
        child.start()
        child.join(timeout=chance.uniform(0.02, 1.0) * duration)
        if child.exitcode is None:
            child.kill()
            child.join()
            kills += 1
        else:
            assert child.exitcode == 0
            ended += 1
            _check_and_remove(reference, expected, ledger, metrics)
    prepare_and_train(path)
    _check_and_remove(reference, expected, ledger, metrics)


def _timed(path: Path) -> float:
    """How long a run takes in a fresh process; it removes what it made."""
    run = path.parent / "runs" / "tiny"
    shutil.rmtree(run)
    child = multiprocessing.get_context("forkserver").Process(target=prepare_and_train, args=(path,))
    started = time.monotonic()
    child.start()
    child.join()
    assert child.exitcode == 0
    shutil.rmtree(run)
    return time.monotonic() - started


def _check_and_remove(
    run: RunDirectory, expected: dict[str, torch.Tensor], ledger: list[dict], metrics: list[dict]
) -> None:
    assert same(weights(run), expected)
    assert _lines(run.ledger) == ledger
    assert _lines(run.metrics) == metrics
    assert not [path for path in run.root.rglob(".*") if path.name.endswith((".tmp", ".old"))]
    shutil.rmtree(run.root)


def _lines(path: Path) -> list[dict]:
    """The lines of a run's file, without what may differ from run to run."""
    varying = ("time", "seconds", "tokens_per_second", "data_wait", "memory_bytes")
    return [{key: value for key, value in line.items() if key not in varying} for line in read_lines(path)]


def test_ctrl_c_saves_and_stops(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    quiet = prepare_and_train(path)
    expected = weights(quiet)
    shutil.rmtree(quiet.root)
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    command = [sys.executable, "-m", "sapwood", "train", str(path), "--runs", str(path.parent / "runs")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not run.metrics.exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, messages = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "The same command continues" in messages
    assert not run.model.exists()
    prepare_and_train(path)
    assert same(weights(run), expected)


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


def test_a_begun_run_refuses_other_texts_and_another_model(finished: tuple[Path, RunDirectory]) -> None:
    path, run = finished
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


def test_a_loss_that_is_no_number_stops_the_run(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    with pytest.raises(SapwoodError, match="The loss of step"):
        prepare_and_train(path, ("training.learning_rate.peak=1e30", "training.optimizer.clip=null"))
