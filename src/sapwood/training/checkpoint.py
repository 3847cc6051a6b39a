"""Saved states of a run: weights, optimizer and position, complete or absent, checked when they are read."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, hash_file, read_json, remove_leftovers, write_json

WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands; everything else follows from it, the recipe and the ledger."""

    step: int = 0
    """Optimizer steps done."""
    position: int = 0
    """Sequences trained on."""
    seconds: float = 0.0
    """Time spent training."""


def unshared_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The persistent tensors of a model by name, those that share memory (tied embeddings) once."""
    seen: set[int] = set()
    weights = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            weights[name] = tensor.detach()
    return weights


def save_checkpoint(
    directory: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer, keep: int
) -> None:
    """Writes `step-XXXXXXXX` below `directory`, and removes all but the newest `keep` checkpoints."""
    path = directory / f"step-{state.step:08d}"
    with atomic_directory(path) as temporary:
        save_file(_contiguous(unshared_weights(model)), temporary / WEIGHTS)
        save_file(_contiguous(_optimizer_tensors(model, optimizer)), temporary / OPTIMIZER)
        hashes = {name: hash_file(temporary / name) for name in (WEIGHTS, OPTIMIZER)}
        write_json(temporary / STATE, {**asdict(state), "hashes": hashes})
    for old in checkpoints(directory)[:-keep]:
        shutil.rmtree(old)


def checkpoints(directory: Path) -> list[Path]:
    """The complete checkpoints below `directory`, oldest first."""
    return sorted(path for path in directory.glob("step-*") if (path / STATE).exists())


def load_latest(directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Puts the newest checkpoint into `model` and `optimizer`; a fresh `State` when there is none.

    Raises SapwoodError when a file is not what was written.
    """
    if not directory.exists():
        return State()
    remove_leftovers(directory)
    saved = checkpoints(directory)
    if not saved:
        return State()
    state = load_weights(saved[-1], model)
    _load_optimizer(_verified(saved[-1], OPTIMIZER), model, optimizer)
    return state


def load_weights(checkpoint: Path, model: nn.Module) -> State:
    """Puts the weights of one checkpoint into `model`, and tells where the run stood.

    Raises SapwoodError when the file is not what was written, or belongs to another model.
    """
    own = unshared_weights(model)
    with safe_open(_verified(checkpoint, WEIGHTS), framework="pt") as file:
        names = set(file.keys())
        if names != set(own):
            raise SapwoodError(f"{checkpoint} belongs to another model: it differs in {sorted(names ^ set(own))[:3]}.")
        for name, tensor in own.items():
            tensor.copy_(file.get_tensor(name))
    return read_state(checkpoint)


def read_state(checkpoint: Path) -> State:
    """Where the run stood when a checkpoint was saved."""
    record = read_json(checkpoint / STATE)
    return State(record["step"], record["position"], record["seconds"])


def _verified(checkpoint: Path, name: str) -> Path:
    """The path of a checkpoint's file, if its checksum is the one that was written."""
    path = checkpoint / name
    if hash_file(path) != read_json(checkpoint / STATE)["hashes"][name]:
        raise SapwoodError(
            f"{path} is damaged: its checksum is not the one that was written. "
            f"Remove {checkpoint} to continue from the checkpoint before it."
        )
    return path


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    parameters = dict(model.named_parameters())
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
            name, _, part = key.rpartition("/")
            parameter = parameters[name]
            tensor = file.get_tensor(key)
            optimizer.state[parameter][part] = tensor if part == "step" else tensor.to(parameter.device)


def _contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
