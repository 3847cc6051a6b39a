"""A model directory written anew with some of its weights changed, a file at a time, without loading the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sapwood.backbone.contents import WEIGHTS, WEIGHTS_INDEX, share_weights, weight_files
from sapwood.backbone.stored import StoredWeights
from sapwood.errors import SapwoodError
from sapwood.files import write_json
from sapwood.runs.manifest import Manifest, read_manifest

Rewrite = Callable[[str, torch.Tensor], Mapping[str, torch.Tensor]]
"""A stored tensor and its name in; what is stored in its place out, by name."""


def stored_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all stored tensors, by name. Only the headers of the files are read."""
    stored = StoredWeights(directory)
    return {name: tuple(stored.shape(name)) for name in stored}


def rewrite_weights(source: Path, directory: Path, change: Rewrite) -> None:
    """Writes the weights of the model in `source` into `directory`: as many files, under the same names.

    What `change` gives back untouched is mapped from the one file and written into the other; it need not fit into
    memory. Dtypes are those of the tensors.
    """
    weight_map: dict[str, str] = {}
    size = parameters = 0
    for file in weight_files(source):
        tensors: dict[str, torch.Tensor] = {}
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                tensors.update(change(name, stored.get_tensor(name)))
            save_file(tensors, directory / file.name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, file.name))
        size += sum(tensor.nbytes for tensor in tensors.values())
        parameters += sum(math.prod(tensor.shape) for tensor in tensors.values())
    if not (directory / WEIGHTS).exists():
        metadata = {"total_parameters": parameters, "total_size": size}
        write_json(directory / WEIGHTS_INDEX, {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))})
    share_weights(directory)


def finished_model(target: Path, planned: Manifest) -> Manifest | None:
    """The manifest of the model at `target`, where it was made by the planned step; None where nothing is there.

    Raises SapwoodError where anything else is: a run may be trained from it, so it is never replaced.
    """
    done = read_manifest(target)
    if target.exists() and (done is None or done.step != planned.step):
        raise SapwoodError(f"{target} is there already, and was not made by this command: name another directory.")
    if done is not None and done.fingerprint != planned.fingerprint:
        other = [
            f"{name} {done.settings.get(name)}, now {value}"
            for name, value in planned.settings.items()
            if done.settings.get(name) != value
        ] + [f"other {name}" for name, value in planned.inputs.items() if done.inputs.get(name) != value]
        raise SapwoodError(
            f"{target} holds a model that was made otherwise ({'; '.join(other)}). Name another directory."
        )
    return done
