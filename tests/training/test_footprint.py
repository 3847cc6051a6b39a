"""What is estimated, against what torch's allocator counts in real steps on this machine."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, LlamaConfig

from one_rank import a_recipe, tiny_llama
from sapwood.backbone.small import small_config
from sapwood.device.chips import find_chip
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.recipe import Recipe
from sapwood.training.batch import Batch
from sapwood.training.engine import Engine
from sapwood.training.footprint import PROCESS, STAGING, DryRunError, Footprint, Machine, predict
from sapwood.training.loader import MicroBatch, StepInput

pytestmark = pytest.mark.slow

CPU = Machine(device="cpu")
FEW = {"vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
FEW["num_key_value_heads"] = 2


def write(directory: Path, **changes: object) -> Path:
    """A model with layers that weigh as much as its head."""
    fields = {"vocab_size": 1000, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3, **changes}
    tiny_llama(**fields).save_pretrained(directory)
    return directory


def allocated(recipe: Recipe, directory: Path, micro_batches: int) -> int:
    """The most bytes that torch's allocator had given out at any time, from building the model to the second step."""
    gc.collect()  # what is given up of other tests would be counted
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        engine = Engine(recipe, directory, ["web"], Ranks.join())
        engine.begin_stage("one", recipe.sequence_length)
        for step in range(2):
            micros = tuple(a_micro_batch(recipe) for _ in range(micro_batches))
            inputs = StepInput(range(1), micros, 0)
            engine.step(inputs, inputs.predicted, 1e-3, step)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def a_micro_batch(recipe: Recipe) -> MicroBatch:
    rows, length = recipe.training.micro_batch, recipe.sequence_length
    tokens = torch.zeros(rows, length, dtype=torch.int64)
    bounds = torch.arange(0, tokens.numel() + 1, length, dtype=torch.int32)
    batch = Batch(tokens, torch.arange(length).expand(rows, length).contiguous(), tokens, bounds)
    return MicroBatch.of(batch, [0] * rows)


@pytest.mark.parametrize(
    ("micro_batches", "tied", "training"),
    [
        (1, True, {"precision": "fp32"}),
        (1, False, {"precision": "bf16", "micro_batch": 3}),
        (3, True, {"precision": "bf16"}),
        (3, True, {"precision": "fp32", "parallel": {"reduce": "micro-batch"}}),
        (1, True, {"precision": "fp32", "loss": "whole", "micro_batch": 4}),
        (1, True, {"precision": "fp32", "activation_checkpointing": "full", "micro_batch": 4}),
        (1, True, {"precision": "fp32", "activation_checkpointing": "selective", "micro_batch": 4}),
        (1, False, {"precision": "bf16", "weights": "bf16", "ema": 0.9}),
        (1, True, {"precision": "fp32", "trainable": ["model.layers.2.*"], "micro_batch": 2}),
        (1, True, {"precision": "fp32", "optimizer": {"kind": "adamw-8bit"}, "micro_batch": 8}),
    ],
    ids=str,
)
def test_a_real_step_takes_what_was_estimated(
    micro_batches: int, tied: bool, training: dict[str, Any], tmp_path: Path
) -> None:
    directory = write(tmp_path, tie_word_embeddings=tied)
    length = 128
    batch = micro_batches * training.get("micro_batch", 1) * length
    recipe = a_recipe(**training, batch_tokens=batch).model_copy(update={"sequence_length": length})
    footprint = predict(directory, recipe, CPU)
    estimated = footprint.total - footprint.device[PROCESS]
    assert estimated == pytest.approx(allocated(recipe, directory, micro_batches), rel=0.02)


def test_adapters_hold_gradients_and_moments_of_their_own_alone(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    directory = write(tmp_path)
    recipe = a_recipe(precision="fp32", batch_tokens=64, adapter={"rank": 4})
    footprint = predict(directory, recipe, CPU)
    assert footprint.device["optimizer"] < footprint.device["weights"] / 5
    estimated = footprint.total - footprint.device[PROCESS]
    assert estimated == pytest.approx(allocated(recipe, directory, 1), rel=0.02)


def on_gpus(directory: Path, ranks: int = 8, per_node: int = 4, **training: Any) -> Footprint:
    machine = Machine(ranks=ranks, ranks_per_node=per_node, device="cuda")
    return predict(directory, a_recipe(precision="bf16", batch_tokens=8192, **training), machine)


def test_sharding_divides_what_is_held_between_steps(tmp_path: Path) -> None:
    directory = write(tmp_path)
    whole = on_gpus(directory, parallel={"sharding": "none"}).device
    for sharding, parts in (("full", 8), ("hybrid", 4)):
        divided = on_gpus(directory, parallel={"sharding": sharding}).device
        for part in ("weights", "optimizer"):
            assert divided[part] == whole[part] // parts


def test_offload_leaves_on_the_gpu_what_a_layer_needs(tmp_path: Path) -> None:
    directory = write(tmp_path)
    here, there = on_gpus(directory), on_gpus(directory, parallel={"offload": True})
    assert "weights" not in there.device
    assert there.host["weights"] == here.device["weights"]
    assert there.host["optimizer"] == here.device["optimizer"]
    assert there.total < here.total


def test_a_checkpoint_on_its_way_has_a_copy_in_the_host(tmp_path: Path) -> None:
    directory = write(tmp_path)
    held = on_gpus(directory, ema=0.9).device
    assert on_gpus(directory, ema=0.9).host == {
        STAGING: sum(held[part] for part in ("weights", "optimizer", "average"))
    }
    assert not on_gpus(directory, checkpoints={"asynchronous": "no"}).host


def test_the_stage_that_needs_most_counts(tmp_path: Path) -> None:
    directory = write(tmp_path)
    recipe = a_recipe(precision="fp32", batch_tokens=512)
    longer = recipe.stages[1].model_copy(update={"sequence_length": 256})
    footprint = predict(directory, recipe.model_copy(update={"stages": [recipe.stages[0], longer]}), CPU)
    assert footprint.stage == "two"
    assert footprint.total > predict(directory, recipe, CPU).total


def test_auto_is_fp32_on_a_gpu_without_bf16(tmp_path: Path) -> None:
    directory = write(tmp_path)
    recipe = a_recipe(batch_tokens=8192, micro_batch=8)
    new, old = (predict(directory, recipe, Machine(chip=find_chip(name))).device for name in ("H100", "T4"))
    assert old["activations"] > 1.5 * new["activations"]


@pytest.mark.parametrize("kind", ["mamba", "falcon_mamba", "bloom"])
def test_models_that_take_no_mask_are_foretold_as_they_are_trained(kind: str, tmp_path: Path) -> None:
    small_config(CONFIG_MAPPING[kind]()).save_pretrained(tmp_path)
    footprint = predict(tmp_path, a_recipe(precision="bf16"), Machine())
    assert footprint.device["activations"] + footprint.device["logits and loss"] > 0


@pytest.mark.parametrize("kind", ["qwen3", "mistral", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "opt", "phi3"])
def test_other_architectures_are_foretold_too(kind: str, tmp_path: Path) -> None:
    AutoConfig.for_model(kind, **FEW).save_pretrained(tmp_path)
    footprint = predict(tmp_path, a_recipe(precision="bf16"), Machine())
    assert footprint.device["activations"] + footprint.device["logits and loss"] > 0


def test_a_model_that_chooses_by_numbers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LlamaConfig(**FEW).save_pretrained(tmp_path)
    forward = AutoModelForCausalLM._model_mapping[LlamaConfig].forward

    def choosing(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        return output if output.logits.sum().item() else None

    monkeypatch.setattr(AutoModelForCausalLM._model_mapping[LlamaConfig], "forward", choosing)
    with pytest.raises(
        DryRunError, match=r"LlamaForCausalLM could not be run dry on the meta device.*Try a step of it"
    ):
        predict(tmp_path, a_recipe(precision="bf16"), CPU)


def test_where_no_way_can_be_gone_the_first_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LlamaConfig(**FEW).save_pretrained(tmp_path)

    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("its own reason" if kwargs.get("attention_mask") is not None else "of the mask")

    monkeypatch.setattr(AutoModelForCausalLM._model_mapping[LlamaConfig], "forward", refuse)
    with pytest.raises(DryRunError, match=r"ValueError: its own reason"):
        predict(tmp_path, a_recipe(precision="bf16"), CPU)


def test_what_the_model_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="matches none of the model's parameters"):
        predict(write(tmp_path), a_recipe(trainable=["model.layres.*"]), CPU)


def test_a_gpu_cannot_be_filled_to_the_brim() -> None:
    machine = Machine(memory=100)
    assert machine.usable == 95
    assert replace(machine, memory=None).usable is None
