"""Tensors that are read or computed one at a time, and the weights of a model as they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from sapwood.backbone.contents import weight_files
from sapwood.backbone.load import FLOATS
from sapwood.files import reading


class Tensors(Mapping[str, torch.Tensor]):
    """Tensors by name, each made when it is asked for. Which there are, and in what shapes, is known without that."""

    _places: Mapping[str, Any]
    """What there is to know of each before it is made, by name."""

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor."""
        return self[name].shape

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def shape_of(tensors: Mapping[str, torch.Tensor], name: str) -> torch.Size:
    """The shape of one of some tensors, which is not made for it, if they are such as are made one at a time."""
    return tensors.shape(name) if isinstance(tensors, Tensors) else tensors[name].shape


class StoredWeights(Tensors):
    """The tensors in a model's safetensors files."""

    _places: dict[str, Path]
    """The file of each."""

    def __init__(self, directory: Path) -> None:
        """Opens the files of the model in `directory`."""
        self._places = {}
        for path in weight_files(directory):
            with reading(path, "Copy or download the model again."), safe_open(path, framework="pt") as file:
                self._places |= dict.fromkeys(file.keys(), path)

    def __getitem__(self, name: str) -> torch.Tensor:
        with safe_open(self._places[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor

    def empty(self, name: str) -> torch.Tensor:
        """A tensor of the same shape and type, on the device `meta`."""
        with safe_open(self._places[name], framework="pt") as file:
            part = file.get_slice(name)
            dtype = FLOATS.get(part.get_dtype()) or file.get_tensor(name).dtype
            return torch.empty(part.get_shape(), dtype=dtype, device="meta")

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor."""
        return self.empty(name).shape
