"""What only a GPU can show: `make test-gpu`. The same runs as on the CPU, on the device that `Ranks` finds."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from packing import packed
from sapwood.device.chips import find_chip
from sapwood.files import read_lines
from sapwood.mixture.decided import open_run
from sapwood.training.attention import attend_by_document
from sapwood.training.batch import make_batch
from sapwood.training.footprint import Machine, predict
from sapwood.training.loss import LossHead, next_token_losses
from small_models import small_model
from small_runs import prepare_and_train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = torch.device("cuda")
ROWS = [[10, 1, 14], [25], [1, 20, 4]]
TinyRecipe = Callable[..., Path]


def losses(path: Path, name: str, *overrides: str) -> list[float]:
    run = prepare_and_train(path, (f"name={name}", *overrides))
    return [line["loss"] for line in read_lines(run.metrics)]


@torch.no_grad()
def test_packed_documents_have_the_losses_of_documents_alone() -> None:
    model = small_model("llama")
    sequences = [packed(lengths, seed) for seed, lengths in enumerate(ROWS)]
    documents = [make_batch([packed([length], 7)], isolate_documents=True) for length in (10, 25)]
    alone = [next_token_losses(model, document, LossHead.of(model))[0].item() for document in documents]
    attend_by_document(model)
    expected = next_token_losses(model, make_batch(sequences, isolate_documents=True), LossHead.of(model))[1]
    model = model.to(DEVICE, torch.bfloat16)
    head = LossHead.of(model)
    _, found = next_token_losses(model, make_batch(sequences, isolate_documents=True).to(DEVICE), head)
    # Rounding of bf16: 2^-8 of about 5 nats a token.
    assert found.float().cpu().tolist() == pytest.approx(expected.tolist(), rel=0.02)
    single = [next_token_losses(model, document.to(DEVICE), head)[0].item() for document in documents]
    assert single == pytest.approx(alone, rel=0.02)


def test_bf16_follows_fp32(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    exact = losses(path, "exact", "training.precision=fp32")
    assert losses(path, "half", "training.precision=bf16") == pytest.approx(exact, abs=0.05)


def test_offload_changes_no_loss(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    here = losses(path, "here")
    assert losses(path, "there", "training.parallel.offload=true") == pytest.approx(here, abs=1e-4)


def test_no_step_takes_more_memory_than_was_estimated(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    run = prepare_and_train(path)
    recipe, _ = open_run(path, (), path.parent / "runs")
    memory = torch.cuda.get_device_properties(0).total_memory
    machine = Machine(1, 1, "cuda", find_chip(torch.cuda.get_device_name()), memory)
    seen = max(line["memory_bytes"] for line in read_lines(run.metrics))
    assert 0 < seen <= predict(Path(recipe.model), recipe, machine).total


def test_killed_runs_go_on_with_the_same_batches(tiny_recipe: TinyRecipe) -> None:
    path = tiny_recipe()
    reference = prepare_and_train(path, ("name=reference",))
    context = multiprocessing.get_context("spawn")
    for seconds in (20.0, 25.0, 300.0):
        child = context.Process(target=prepare_and_train, args=(path,))
        child.start()
        child.join(seconds)
        if child.exitcode is None:
            child.kill()
            child.join()
            time.sleep(1)  # the driver frees its memory
        else:
            assert child.exitcode == 0
    lines = [read_lines(run) for run in (reference.metrics, path.parent / "runs" / "tiny" / "metrics.jsonl")]
    assert [line["digest"] for line in lines[0]] == [line["digest"] for line in lines[1]]
    assert [line["loss"] for line in lines[0]] == pytest.approx([line["loss"] for line in lines[1]], abs=1e-3)
