"""Which files a Hugging Face model directory consists of. Nothing here reads a tensor, or imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sapwood.backbone.record import RECORD
from sapwood.errors import SapwoodError
from sapwood.files import read_json, reading
from sapwood.runs import manifest

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
CHAT_TEMPLATES = "additional_chat_templates"
"""The one directory inside a model directory that belongs to its tokenizer."""

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
WEIGHT_SUFFIXES = PICKLE_SUFFIXES | {".gguf", ".h5", ".msgpack", ".onnx", ".safetensors"}


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that hold the weights of the model in `directory`.

    Raises SapwoodError if there are none, or if the index names one that is not there.
    """
    if (directory / WEIGHTS).exists():
        return [directory / WEIGHTS]
    if (directory / WEIGHTS_INDEX).exists():
        files = [directory / name for name in sorted(set(_index(directory).values()))]
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise SapwoodError(
                f"{directory}: {WEIGHTS_INDEX} names {len(files)} files, and {len(missing)} of them are missing "
                f"({missing[0]} first). Copy or download the model again."
            )
        return files
    pickles = sorted(file.name for file in directory.iterdir() if file.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise SapwoodError(
            f"{directory} holds its weights as pickle ({', '.join(pickles[:3])}), which can run any code when it is "
            f"read. Use a version of the model in safetensors: there must be a {WEIGHTS} or a {WEIGHTS_INDEX}."
        )
    raise SapwoodError(f"{directory} holds no weights: there must be a {WEIGHTS} or a {WEIGHTS_INDEX}.")


def _index(directory: Path) -> dict[str, str]:
    """The file of each weight."""
    path, remedy = directory / WEIGHTS_INDEX, "Copy or download the model again."
    content = read_json(path, remedy)
    with reading(path, remedy):
        return dict(content["weight_map"])


def other_files(directory: Path) -> list[Path]:
    """All files that are part of the model but its weights, sorted: configuration, tokenizer, chat templates, licence.

    Left out are weights in other formats, hidden files, other directories, the manifest of a step that made the
    directory, and what a model of ours says of its training.
    """
    inside = [*directory.iterdir(), *(directory / CHAT_TEMPLATES).glob("*")]
    return sorted(
        file
        for file in inside
        if file.is_file()
        and not file.name.startswith(".")
        and file.suffix not in WEIGHT_SUFFIXES
        and file.name not in {manifest.NAME, RECORD, WEIGHTS_INDEX}
    )


def copy_other_files(source: Path, directory: Path, *, but: Iterable[str] = ()) -> None:
    """Copies all files that are part of the model in `source` but its weights, and those named, byte for byte."""
    for file in other_files(source):
        if file.name not in but:
            copy = directory / file.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def share_weights(directory: Path) -> None:
    """Lets whoever can read the configuration read the weights; safetensors leaves them to their owner alone."""
    for file in weight_files(directory):
        file.chmod((directory / CONFIG).stat().st_mode)
