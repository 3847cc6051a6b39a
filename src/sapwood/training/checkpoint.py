"""Saved states of a run: weights, optimizer and position, complete or absent, checked when they are read.

A checkpoint is a directory of safetensors files, one of each rank, in the layout of torch.distributed.checkpoint: every
file names the part of each tensor that it holds, so that any number of ranks can read what any number has written.
`state.json` is written last, with the checksum of every file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict_loader import load

from sapwood.backbone.load import FLOATS
from sapwood.backbone.stored import Tensors
from sapwood.errors import SapwoodError, closest
from sapwood.files import hash_file, read_json, reading, remove_directory

STATE = "state.json"
SHARDING = "DCP_SHARDING_INFO"
"""Where torch.distributed.checkpoint keeps the places of parts, in the header of each file."""
OPTIMIZER, AVERAGE, GUARD = "optimizer/", "ema/", "guard/"
"""How the names of tensors begin that are no weights of the model."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands; everything else follows from it, the recipe and the ledger."""

    step: int = 0
    """Optimizer steps done."""
    position: int = 0
    """Sequences trained on, or skipped."""
    tokens: int = 0
    """Tokens in them."""
    seconds: float = 0.0
    """Time spent training."""
    learning_rate: float = 0.0
    """The last one."""

    @property
    def name(self) -> str:
        """What the checkpoint of this state is called."""
        return f"step-{self.step:08d}"


def checkpoints(directory: Path) -> list[Path]:
    """The complete checkpoints below `directory`, oldest first."""
    return sorted(path for path in directory.glob("step-*") if (path / STATE).exists())


def remove_incomplete(directory: Path) -> None:
    """Removes what a kill has left of checkpoints that were being removed, or copied here by other programs."""
    for path in directory.glob("step-*"):
        if not (path / STATE).exists():
            remove_directory(path)


def find_checkpoint(directory: Path, name: str) -> Path:
    """The complete checkpoint of this name below `directory`. Raises SapwoodError where there is none."""
    names = [path.name for path in checkpoints(directory)]
    if name not in names:
        raise SapwoodError(f"{directory} has no checkpoint '{name}'. {closest(name, names)}")
    return directory / name


def read_state(checkpoint: Path) -> State:
    """Where the run stood when a checkpoint was saved."""
    record = _record(checkpoint)
    with reading(checkpoint / STATE, instead(checkpoint)):
        return State(**{name: record[name] for name in State.__dataclass_fields__})


def read_records(checkpoint: Path) -> dict[str, Any]:
    """What the run's records were when a checkpoint was saved (`training.resume`); empty where it does not say."""
    return dict(_record(checkpoint).get("records", {}))


def _record(checkpoint: Path) -> dict[str, Any]:
    return dict(read_json(checkpoint / STATE, instead(checkpoint)))


def _hashes(checkpoint: Path) -> dict[str, str]:
    with reading(checkpoint / STATE, instead(checkpoint)):
        return dict(_record(checkpoint)["hashes"])


def fingerprint_checkpoint(checkpoint: Path) -> str:
    """Identifies a checkpoint by the checksums of its files."""
    return "+".join(sorted(_hashes(checkpoint).values()))


def verify(checkpoint: Path, names: Iterable[str] | None = None) -> None:
    """Raises SapwoodError where a file of a checkpoint, or one of those `names`, is not what was written."""
    hashes = _hashes(checkpoint)
    for name in hashes if names is None else names:
        path = checkpoint / name
        if not path.exists():
            raise SapwoodError(f"{path} is missing. {instead(checkpoint)}")
        with reading(path, instead(checkpoint)):
            found = hash_file(path)
        if found != hashes[name]:
            raise SapwoodError(
                f"{path} is damaged: its checksum is not the one that was written. {instead(checkpoint)}"
            )


def files_of(checkpoint: Path) -> list[str]:
    """The names of a checkpoint's files of tensors."""
    return sorted(_hashes(checkpoint))


def load_checkpoint(checkpoint: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Fills tensors, whole or sharded, with what a checkpoint holds under their names. A collective of all ranks.

    Raises SapwoodError where it does not hold all of them.
    """
    lacking = sorted(tensors.keys() - CheckpointTensors(checkpoint, verified=True).keys())
    if lacking:
        raise SapwoodError(f"{checkpoint} belongs to another model: it has no '{lacking[0]}'.")
    load(tensors, storage_reader=HuggingFaceStorageReader(str(checkpoint)))


class CheckpointTensors(Tensors):
    """The tensors of a checkpoint, whole, each read when it is asked for.

    Weights have the names of the model; `optimizer/`, `ema/` and `guard/` begin the names of all else.
    """

    _places: dict[str, tuple[str, list[tuple[Path, list[int]]]]]
    """For each tensor its name in the files, which of them hold parts of it, and where the parts begin."""

    def __init__(self, checkpoint: Path, *, verified: bool = False) -> None:
        """Opens a checkpoint, and verifies it first, unless that is done."""
        if not verified:
            verify(checkpoint)
        self._places = {}
        for name in files_of(checkpoint):
            with safe_open(checkpoint / name, framework="pt") as file:
                places = json.loads((file.metadata() or {})[SHARDING])
                for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                    self._places.setdefault(key, (key, []))[1].append((checkpoint / name, places[key]["saved_offsets"]))

    @property
    def weights(self) -> CheckpointTensors:
        """The weights that were trained."""
        return self._chosen({name: name for name in self if not name.startswith((OPTIMIZER, AVERAGE, GUARD))})

    @property
    def average(self) -> CheckpointTensors:
        """Their exponential moving average, under the same names; empty where the recipe keeps none."""
        return self._chosen({name.removeprefix(AVERAGE): name for name in self if name.startswith(AVERAGE)})

    def _chosen(self, names: Mapping[str, str]) -> CheckpointTensors:
        chosen = copy(self)
        chosen._places = {name: self._places[held] for name, held in names.items()}
        return chosen

    def empty(self, name: str) -> torch.Tensor:
        """A tensor of the same shape and type, on the device `meta`."""
        key, parts = self._places[name]
        ends = []
        for path, begin in parts:
            with safe_open(path, framework="pt") as file:
                part = file.get_slice(key)
                ends.append([at + size for at, size in zip(begin, part.get_shape(), strict=True)])
                dtype = FLOATS.get(part.get_dtype(), torch.int64)
        return torch.empty([max(sizes) for sizes in zip(*ends, strict=True)], dtype=dtype, device="meta")

    def __getitem__(self, name: str) -> torch.Tensor:
        key, places = self._places[name]
        parts = []
        for path, begin in places:
            with safe_open(path, framework="pt") as file:
                parts.append((begin, file.get_tensor(key)))
        whole: torch.Tensor = parts[0][1]
        if len(parts) == 1:
            return whole
        whole = torch.empty_like(self.empty(name), device="cpu")
        for begin, part in parts:
            whole[tuple(slice(at, at + size) for at, size in zip(begin, part.shape, strict=True))] = part
        return whole

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor."""
        return self.empty(name).shape


def instead(checkpoint: Path) -> str:
    """What to do where a checkpoint is damaged, or does not fit the run's records."""
    return f"Remove {checkpoint} to continue from the checkpoint before it."
