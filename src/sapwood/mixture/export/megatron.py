"""Sequences as an indexed dataset of Megatron: the ids on end in `.bin`, and where each sequence lies in `.idx`.

Every packed sequence is a document of its own. The index, little-endian: `MMIDIDX` and two zero bytes; the version, 1
(uint64); the code of the ids' type (uint8); the number of sequences, and that of document bounds (uint64 each); then
the tokens of every sequence (int32), where it begins in `.bin` in bytes (int64), and the numbers of the sequences at
which documents begin, and the last one ends (int64). After `megatron/core/datasets/indexed_dataset.py` of Megatron-LM.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sapwood.files import atomic_file
from sapwood.mixture.stream import Sequence

SUFFIXES = (".bin", ".idx")

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_CODES = {"uint16": 8, "int32": 4}


def megatron_type(stored: Iterable[str]) -> np.dtype[Any]:
    """The type of the ids, by the types of the token shards: Megatron has no uint32, and ids stay far below 2^31."""
    return np.dtype(np.uint16 if set(stored) == {"uint16"} else np.int32).newbyteorder("<")


def write_megatron(stem: Path, sequences: Iterable[Sequence], length: int, dtype: np.dtype[Any]) -> None:
    """Writes `STEM.bin` and `STEM.idx`, each whole or not at all. All sequences have `length` tokens."""
    count = 0
    with atomic_file(stem.with_suffix(".bin")) as temporary, temporary.open("wb") as file:
        for sequence in sequences:
            file.write(sequence.tokens.astype(dtype).tobytes())
            count += 1
    with atomic_file(stem.with_suffix(".idx")) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + struct.pack("<QBQQ", _VERSION, _CODES[dtype.name], count, count + 1))
        np.full(count, length, "<i4").tofile(file)
        (np.arange(count, dtype="<i8") * (length * dtype.itemsize)).tofile(file)
        np.arange(count + 1, dtype="<i8").tofile(file)
