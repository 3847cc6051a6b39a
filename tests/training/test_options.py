"""Whole small runs with the options of the engine: each trains, is saved, resumed and exported like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rank_processes import ends, start
from sapwood.backbone.load import load_model
from sapwood.files import read_lines
from sapwood.mixture.decided import open_run
from sapwood.pipeline.prepare import prepare_run
from sapwood.runs.directory import RunDirectory
from sapwood.training.checkpoint import CheckpointTensors, checkpoints
from small_runs import prepare_and_train

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


def losses(run: RunDirectory) -> list[float]:
    return [line["loss"] for line in read_lines(run.metrics)]


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def changed(run: RunDirectory, backbone: Path) -> set[str]:
    """The weights of the adapted model that are not the base model's."""
    before = load_file(backbone / "model.safetensors")
    return {name for name, tensor in weights(run).items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    "options",
    [
        ("training.loss=whole",),
        ("training.activation_checkpointing=selective",),
        ("training.activation_checkpointing=full",),
        ("training.parallel.reduce=micro-batch",),
        ("training.checkpoints.asynchronous=yes",),
        ("training.ema=0.9",),
    ],
)
def test_what_only_costs_or_saves_changes_no_loss(
    plain: RunDirectory, tiny_recipe: TinyRecipe, options: tuple[str, ...]
) -> None:
    run = prepare_and_train(tiny_recipe(), options)
    assert losses(run) == pytest.approx(losses(plain), abs=2e-5)
    assert run.model.exists()


def test_compiled_layers_have_the_losses_of_others(tiny_recipe: TinyRecipe) -> None:
    # Of the second stage the last micro-batch is a sequence short: layers are compiled for two shapes.
    stages = [
        {"name": "adaptation", "tokens": 1024, "mixture": {"zh": 8, "en": 2}},
        {"name": "enhancement", "tokens": 960, "mixture": {"zh": 1, "en": 1}},
    ]
    expected = losses(prepare_and_train(tiny_recipe(stages=stages)))
    run = prepare_and_train(tiny_recipe(name="other", stages=stages), ("training.compile=true",))
    assert losses(run) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    "options",
    [
        ("training.optimizer.kind=adamw-8bit",),
        ("training.weights=bf16", "training.precision=bf16"),
        ("training.precision=bf16",),
    ],
)
def test_fewer_bits_learn_alike(plain: RunDirectory, tiny_recipe: TinyRecipe, options: tuple[str, ...]) -> None:
    found = losses(prepare_and_train(tiny_recipe(), options))
    assert found == pytest.approx(losses(plain), abs=0.15)
    assert found[-1] < found[0] - 0.5


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_an_adapter_is_trained_saved_alone_and_merged(tiny_recipe: TinyRecipe, tiny_backbone: Path, kind: str) -> None:
    pytest.importorskip("peft", reason="needs PEFT")
    adapter = f"training.adapter={{kind: {kind}, rank: 4, targets: [q_proj, up_proj]}}"
    run = prepare_and_train(tiny_recipe(), (adapter, "training.learning_rate.peak=1e-2"))
    assert losses(run)[-1] < losses(run)[0]
    held = CheckpointTensors(checkpoints(run.checkpoints)[-1]).weights
    assert all("lora" in name for name in held)
    assert changed(run, tiny_backbone) == {
        f"model.layers.{layer}.{module}.weight" for layer in (0, 1) for module in ("self_attn.q_proj", "mlp.up_proj")
    }
    load_model(run.model)


def test_stages_train_what_they_name(tiny_recipe: TinyRecipe, tiny_backbone: Path) -> None:
    """An embeddings-only stage, then one of the last layer: the first layer stays as it was."""
    stages = [
        {"name": "warm", "tokens": 2048, "mixture": {"zh": 1}, "trainable": ["embeddings"]},
        {"name": "rest", "tokens": 2048, "mixture": {"zh": 1}, "trainable": ["model.layers.1.*"]},
    ]
    run = prepare_and_train(tiny_recipe(stages=stages))
    names = load_file(tiny_backbone / "model.safetensors")
    expected = {name for name in names if "layers.1." in name or "embed" in name}
    assert changed(run, tiny_backbone) == expected
    first = checkpoints(run.checkpoints)[0]
    assert set(CheckpointTensors(first).weights) == expected


def test_the_average_is_that_of_the_weights_after_every_step(tiny_recipe: TinyRecipe, tiny_backbone: Path) -> None:
    keep = ("training.checkpoints.keep=100", "training.checkpoints.every=1 steps")
    run = prepare_and_train(tiny_recipe(), ("training.ema=0.7", *keep))
    name = "model.layers.0.mlp.up_proj.weight"
    average = load_file(tiny_backbone / "model.safetensors")[name]
    saved = [CheckpointTensors(path) for path in checkpoints(run.checkpoints)]
    assert len(saved) == len(losses(run))
    for held in saved:
        average = 0.7 * average + 0.3 * held.weights[name]
        torch.testing.assert_close(held.average[name], average)
    assert saved[-1].average.keys() == saved[-1].weights.keys()


@pytest.mark.parametrize("sharding", ["none", "hybrid"])
def test_shardings_have_the_losses_of_one_process(plain: RunDirectory, tiny_recipe: TinyRecipe, sharding: str) -> None:
    path = tiny_recipe()
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    # Two nodes of two processes each, as far as FSDP knows.
    assert ends(start(path, 4, f"training.parallel.sharding={sharding}", per_node=2))
    assert losses(run) == pytest.approx(losses(plain), abs=2e-5)
