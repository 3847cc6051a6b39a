from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch._dynamo.testing import CompileCounter
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from transformers import PreTrainedModel

from one_rank import a_recipe, loss_of, shard, tiny_llama, weights_of, whole
from rank_processes import ends, started
from sapwood.recipe import Recipe
from sapwood.training import lowbit
from sapwood.training.optimizer import build_optimizer, optimizer_tensors
from two_ranks import SHAPES, STEPS, gradients, low_bit, second_half, tensors_of

pytestmark = pytest.mark.slow

KINDS = [
    {"optimizer": {"kind": kind, "weight_decay": 0.1}, "weights": weights}
    for kind, weights in itertools.product(["adamw", "adamw-8bit"], ["fp32", "bf16"])
]
EVERY_KIND = pytest.mark.parametrize(
    "training", KINDS, ids=lambda kind: f"{kind['optimizer']['kind']}-{kind['weights']}"
)


def built(recipe: Recipe, **changes: object) -> tuple[PreTrainedModel, torch.optim.Optimizer]:
    model = tiny_llama(**changes)
    if recipe.training.weights == "bf16":
        model.bfloat16()
    shard(model)
    return model, build_optimizer(model, recipe)


def train(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, steps: range, *, leave_out: tuple[int, ...] = ()
) -> list[float]:
    """The losses of some steps; those skipped are done with a gradient of infinities."""
    losses = []
    for step in steps:
        loss = loss_of(model, step % 4)
        loss.backward()
        if step in leave_out:
            for parameter in model.parameters():
                parameter.grad.mul_(float("inf"))
        for group in optimizer.param_groups:
            group["lr"] = 3e-3
        optimizer.grad_scale, optimizer.found_inf = None, torch.tensor(float(step in leave_out))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def state_of(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {name: whole(tensor) for name, tensor in optimizer_tensors(optimizer).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@EVERY_KIND
def test_all_kinds_learn_about_as_well(training: dict) -> None:
    expected = train(*built(a_recipe(optimizer={"weight_decay": 0.1})), range(24))
    losses = train(*built(a_recipe(**training)), range(24))
    assert losses[-1] < losses[0] - 0.5
    assert abs(losses[-1] - expected[-1]) < 0.02 * (expected[0] - expected[-1])


@EVERY_KIND
def test_a_step_can_be_skipped(training: dict) -> None:
    model, optimizer = built(a_recipe(**training))
    other, others = built(a_recipe(**training))
    train(model, optimizer, range(3), leave_out=(2,))
    train(other, others, range(2))
    assert same(weights_of(model), weights_of(other))
    assert same(state_of(optimizer), state_of(others))
    train(model, optimizer, range(3, 5))
    train(other, others, range(3, 5))
    assert same(weights_of(model), weights_of(other))


@EVERY_KIND
def test_a_restored_optimizer_goes_on_to_the_bit(training: dict, tmp_path: Path) -> None:
    model, optimizer = built(a_recipe(**training))
    train(model, optimizer, range(3))
    saved = {**dict(model.named_parameters()), **optimizer_tensors(optimizer)}
    dcp.save(saved, storage_writer=HuggingFaceStorageWriter(str(tmp_path), save_distributed=True))
    train(model, optimizer, range(3, 6))
    other, others = built(a_recipe(**training))
    fresh = {**dict(other.named_parameters()), **optimizer_tensors(others)}
    dcp.load(fresh, storage_reader=HuggingFaceStorageReader(str(tmp_path)))
    train(other, others, range(3, 6))
    assert same(weights_of(model), weights_of(other))
    assert same(state_of(optimizer), state_of(others))


def test_how_much_memory_the_state_takes() -> None:
    def bytes_per_parameter(kind: str) -> float:
        model, optimizer = built(a_recipe(optimizer={"kind": kind}), hidden_size=256, intermediate_size=256)
        size = sum(parameter.numel() for parameter in model.parameters())
        return sum(tensor.nbytes for tensor in state_of(optimizer).values()) / size

    assert 8 <= bytes_per_parameter("adamw") < 8.01
    # Two codes, and two scales of 4 bytes for 256 numbers; vectors keep 32 bits.
    assert 2 + 8 / 256 <= bytes_per_parameter("adamw-8bit") < 2.05


def test_what_no_stage_trains_has_no_state() -> None:
    optimizer = built(a_recipe(trainable=["model.norm.weight"]))[1]
    parts = ("step", "exp_avg", "exp_avg_sq")
    assert set(optimizer_tensors(optimizer)) == {f"optimizer/model.norm.weight/{part}" for part in parts}


@pytest.mark.parametrize("eight_bits", [False, True])
def test_the_arithmetic_is_that_of_adamw(eight_bits: bool) -> None:
    start = gradients((20, 300), 1)[0]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    one = low_bit(ours, eight_bits=eight_bits, decay=0.1)
    other = torch.optim.AdamW([theirs], lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for gradient in gradients((20, 300), 10):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    apart = (ours - theirs).norm() / (theirs - start).norm()
    assert apart < (0.03 if eight_bits else 1e-4)


def test_small_updates_of_bf16_weights_are_kept_on_average() -> None:
    nearest, ours = (torch.nn.Parameter(torch.ones(256, 256, dtype=torch.bfloat16)) for _ in range(2))
    one = low_bit(ours, eight_bits=False)
    other = torch.optim.AdamW([nearest], lr=1e-6, weight_decay=0)
    one.param_groups[0]["lr"] = 1e-6
    for _ in range(200):
        for parameter in (nearest, ours):
            parameter.grad = torch.ones_like(parameter)
        one.step()
        other.step()
    assert (nearest == 1).all()
    # 200 steps of 1e-6, each entry moving by steps of 2^-8; 5 standard errors of 65,536 entries
    error = 5 * (200e-6 * 2**-8 / 256**2) ** 0.5
    assert abs((1 - ours.double()).mean() - 200e-6) < error < 20e-6


def test_updates_stay_bounded_where_the_gradient_was_small_beside_others() -> None:
    """Rounding the second moment to 0 would give updates of first moment / epsilon."""
    parameter = torch.nn.Parameter(torch.zeros(32, 256))
    optimizer = low_bit(parameter, eight_bits=True)
    for step in range(8):
        parameter.grad = torch.full((32, 256), 1e-5 if step < 4 else 0.0)
        parameter.grad[:, 0] = 100.0
        before = parameter.detach().clone()
        optimizer.step()
        assert (parameter - before).abs().max() < 3 * 1e-3


def test_steps_and_saved_states_do_not_depend_on_the_number_of_ranks(tmp_path: Path) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.bfloat16)) for shape in SHAPES]
    optimizer = low_bit(*parameters, eight_bits=True)
    tensors = tensors_of(optimizer)
    for step in range(STEPS):
        if step == STEPS // 2:
            dcp.save(tensors, storage_writer=HuggingFaceStorageWriter(str(tmp_path / "saved"), save_distributed=True))
        for parameter in parameters:
            parameter.grad = gradients(tuple(parameter.shape), STEPS)[step].bfloat16()
        optimizer.step()
    assert ends(started(second_half, [(rank, str(tmp_path)) for rank in range(2)]))
    found = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    dcp.load(found, storage_reader=HuggingFaceStorageReader(str(tmp_path / "again")))
    assert same(found, tensors)


@pytest.mark.parametrize("eight_bits", [False, True])
def test_an_update_is_one_graph_whatever_is_trained(*, eight_bits: bool) -> None:
    """Traced, as on a GPU, and run as it stands: the same bits, and no step, rate or size is traced anew."""
    sizes = ((64, 300), (32, 700), (48, 1100), (40, 520))
    kinds = []
    for traced in (False, True):
        parameters = [torch.nn.Parameter(torch.ones(size, dtype=torch.bfloat16)) for size in sizes]
        optimizer = low_bit(*parameters, eight_bits=eight_bits, decay=0.1)
        graphs = CompileCounter()
        if traced:
            torch._dynamo.reset()
            optimizer._update_rows = torch.compile(lowbit._update_rows, backend=graphs, dynamic=True, fullgraph=True)
        for step in range(3):
            optimizer.found_inf = torch.tensor(float(step == 1))
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (step + 1)
            for parameter, gradient in zip(parameters, (gradients(size, 3)[step] for size in sizes), strict=True):
                parameter.grad = gradient.bfloat16()
            optimizer.step()
        kinds.append(tensors_of(optimizer))
    assert graphs.frame_count == 1
    assert all(torch.equal(kinds[0][name], tensor) for name, tensor in kinds[1].items())
