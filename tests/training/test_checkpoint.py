from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from sapwood.backbone.load import load_model
from sapwood.errors import SapwoodError
from sapwood.recipe.schema import Optimizer
from sapwood.training.checkpoint import OPTIMIZER, STATE, WEIGHTS, State, checkpoints, load_latest, save_checkpoint
from sapwood.training.optimizer import build_optimizer


def trained(directory: Path, steps: int) -> tuple[PreTrainedModel, torch.optim.Optimizer]:
    torch.manual_seed(1)
    model = load_model(directory, dtype=torch.float32)
    optimizer = build_optimizer(model, Optimizer(weight_decay=0.1))
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    for _ in range(steps):
        step(model, optimizer)
    return model, optimizer


def step(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> None:
    ids = torch.arange(20)[None]
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def test_training_goes_on_to_the_bit(tiny_backbone: Path, tmp_path: Path) -> None:
    model, optimizer = trained(tiny_backbone, 3)
    save_checkpoint(tmp_path, State(3, 24, 1.5), model, optimizer, keep=2)
    other, other_optimizer = trained(tiny_backbone, 0)
    assert load_latest(tmp_path, other, other_optimizer) == State(3, 24, 1.5)
    for group in other_optimizer.param_groups:
        group["lr"] = 1e-2
    step(model, optimizer)
    step(other, other_optimizer)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_the_newest_are_kept(tiny_backbone: Path, tmp_path: Path) -> None:
    model, optimizer = trained(tiny_backbone, 1)
    for number in (1, 2, 10):
        save_checkpoint(tmp_path, State(number, number, 0.0), model, optimizer, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000002", "step-00000010"]


def test_half_a_checkpoint_is_none(tiny_backbone: Path, tmp_path: Path) -> None:
    model, optimizer = trained(tiny_backbone, 1)
    save_checkpoint(tmp_path, State(1, 1, 0.0), model, optimizer, keep=2)
    (tmp_path / ".step-00000002.1234.tmp").mkdir()
    (tmp_path / ".step-00000002.1234.tmp" / WEIGHTS).write_bytes(b"half")
    assert load_latest(tmp_path, model, optimizer).step == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("file", [WEIGHTS, OPTIMIZER])
def test_damage_is_noticed(tiny_backbone: Path, tmp_path: Path, file: str) -> None:
    model, optimizer = trained(tiny_backbone, 1)
    save_checkpoint(tmp_path, State(1, 1, 0.0), model, optimizer, keep=2)
    path = tmp_path / "step-00000001" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SapwoodError, match="checksum"):
        load_latest(tmp_path, model, optimizer)


def test_nothing_is_a_fresh_start(tiny_backbone: Path, tmp_path: Path) -> None:
    model, optimizer = trained(tiny_backbone, 0)
    assert load_latest(tmp_path / "absent", model, optimizer) == State()
    assert not (tmp_path / "absent" / STATE).exists()
