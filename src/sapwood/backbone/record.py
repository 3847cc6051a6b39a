"""What a model of ours says of its own training, in a small file beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.files import hash_file, read_json, write_json

RECORD = "sapwood.json"
"""It is no part of the model: what is made of the model does not take it over."""


def write_record(directory: Path, learning_rate: float) -> None:
    """Notes in the model's directory with which learning rate its last step was made, and what its files are.

    The files are those without which it would be another model: the weights and config.json.
    """
    files = [directory / "config.json", *directory.glob("*.safetensors")]
    hashes = {file.name: hash_file(file) for file in sorted(files)}
    write_json(directory / RECORD, {"learning_rate": learning_rate, "files": hashes}, sealed=True)


def refuse_damaged(directory: Path, hashes: Mapping[str, str]) -> None:
    """Raises SapwoodError where a file of the model is not the one that was exported; `hashes` are those of now."""
    for name, written in _read(directory).get("files", {}).items():
        if name in hashes and hashes[name] != written:
            raise SapwoodError(f"{directory / name} is damaged: it is not what was exported. {export_again(directory)}")


def _read(directory: Path) -> dict[str, Any]:
    path = directory / RECORD
    return dict(read_json(path, export_again(directory))) if path.exists() else {}


def last_learning_rate(directory: Path) -> float | None:
    """The learning rate of the last step that the model in `directory` was trained by; None where that is not noted."""
    rate = _read(directory).get("learning_rate")
    return None if rate is None else float(rate)


def export_again(directory: Path) -> str:
    """What to do where a model that a run has exported is damaged."""
    return f"Remove {directory}: `sapwood train` writes it again from the last checkpoint."
