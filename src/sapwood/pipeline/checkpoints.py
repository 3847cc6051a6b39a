"""The saved states of a run: which there are, whether they are whole, and the model of any of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sapwood.errors import SapwoodError
from sapwood.pipeline.handle import Run, open_run, writing
from sapwood.recipe import Recipe

StoredType = Literal["bf16", "fp16", "fp32"]
"""The type of exported weights."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """A checkpoint on the disk."""

    path: Path
    tokens: int
    """Tokens trained when it was saved."""
    files: int
    size: int
    """Bytes of all files that are there."""
    damage: str | None
    """What is missing or not what was written; None where it is whole."""


def list_checkpoints(recipe: Run | Recipe | str | Path) -> list[SavedState]:
    """The checkpoints of a run, oldest first; every file is compared with what was written.

    Raises SapwoodError where there is none.
    """
    from sapwood.training.checkpoint import checkpoints, files_of, read_state, verify

    directory = open_run(recipe).directory.checkpoints
    found = []
    for path in checkpoints(directory):
        damage = None
        try:
            verify(path)
        except SapwoodError as error:
            damage = str(error)
        files = [path / name for name in files_of(path)]
        size = sum(file.stat().st_size for file in files if file.exists())
        found.append(SavedState(path, read_state(path).tokens, len(files), size, damage))
    if not found:
        raise SapwoodError(f"{directory} holds no checkpoint.")
    return found


def export_checkpoint(
    recipe: Run | Recipe | str | Path, name: str, output: str | Path, *, dtype: StoredType | None = None
) -> Path:
    """Writes the model of the checkpoint `name` as a Hugging Face directory, one file of weights at a time.

    `dtype` is that of the base model unless it is given. Returns `output`. Raises SapwoodError where there is no such
    checkpoint, where it is damaged, and where something is at `output`.
    """
    import torch

    from sapwood.backbone.resolve import default_cache, resolve
    from sapwood.training.adapted import export_adapted
    from sapwood.training.checkpoint import find_checkpoint

    run, target = open_run(recipe), Path(output)
    path = find_checkpoint(run.directory.checkpoints, name)
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    backbone = resolve(run.recipe.model, default_cache())
    with writing(target, replaced=True):
        export_adapted(run.recipe, backbone, path, target, dtypes[dtype] if dtype else None)
    return target
