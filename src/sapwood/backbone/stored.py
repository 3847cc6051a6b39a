"""The weights of a model as they are stored, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from sapwood.backbone.contents import weight_files
from sapwood.backbone.load import FLOATS


class StoredWeights(Mapping[str, torch.Tensor]):
    """The tensors in a model's safetensors files, each read when it is asked for."""

    def __init__(self, directory: Path) -> None:
        """Opens the files of the model in `directory`."""
        self._files: dict[str, Path] = {}
        for path in weight_files(directory):
            with safe_open(path, framework="pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    def __getitem__(self, name: str) -> torch.Tensor:
        with safe_open(self._files[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor

    def empty(self, name: str) -> torch.Tensor:
        """A tensor of the same shape and type, on the device `meta`."""
        with safe_open(self._files[name], framework="pt") as file:
            part = file.get_slice(name)
            dtype = FLOATS.get(part.get_dtype()) or file.get_tensor(name).dtype
            return torch.empty(part.get_shape(), dtype=dtype, device="meta")

    def __contains__(self, name: object) -> bool:
        return name in self._files  # Mapping would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
