"""What a model of ours says of its own training, in a small file beside its weights."""

from __future__ import annotations

from pathlib import Path

from sapwood.files import read_json, write_json

RECORD = "sapwood.json"
"""It is no part of the model: what is made of the model does not take it over."""


def write_record(directory: Path, learning_rate: float) -> None:
    """Notes in the model's directory with which learning rate its last step was made."""
    write_json(directory / RECORD, {"learning_rate": learning_rate})


def last_learning_rate(directory: Path) -> float | None:
    """The learning rate of the last step that the model in `directory` was trained by; None where that is not noted."""
    path = directory / RECORD
    return float(read_json(path)["learning_rate"]) if path.exists() else None
