"""Scores of documents, written down as they come, so that none is made twice.

DIRECTORY/00002-of-00008.jsonl      what process 2 of 8 has scored, some documents a line

Every process writes a file of its own, and all read all of them. Numbers are written so that they come back as they
were, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sapwood.errors import SapwoodError
from sapwood.files import append_line, read_line

_KEY = np.dtype("S32")
_TYPES: dict[str, np.dtype[Any]] = {
    "documents": _KEY,
    "nats": np.dtype(np.float64),
    "tokens": np.dtype(np.int64),
    "bytes": np.dtype(np.int64),
}


class Score(NamedTuple):
    """What a model makes of one document."""

    nats: float
    """The sum of -ln p over the scored tokens."""
    tokens: int
    bytes: int
    """What these tokens spell, in UTF-8."""


def write_scores(path: Path, scores: Mapping[str, Score]) -> None:
    """Appends scores, by key of 32 hexadecimal digits. They are on the disk when this returns."""
    nats, tokens, sizes = zip(*scores.values(), strict=True)
    append_line(path, {"documents": list(scores), "nats": nats, "tokens": tokens, "bytes": sizes})


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores in a directory, sorted by key: 56 bytes for each document."""

    keys: npt.NDArray[np.bytes_]
    nats: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]

    @staticmethod
    def read(directory: Path) -> Scores:
        """Reads what all processes have written. A line that a kill cut short is left out.

        Raises SapwoodError for a line that is broken otherwise.
        """
        parts: dict[str, list[npt.NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in _TYPES.items()}
        for path in sorted(directory.glob("*.jsonl")):
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        break
                    try:
                        found = read_line(line)
                        for name, kind in _TYPES.items():
                            parts[name].append(np.array(found[name], kind))
                    except (ValueError, KeyError, TypeError) as error:
                        raise SapwoodError(f"{path}, line {number}: not scores ({error}). Remove the line.") from error
        whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        order = np.argsort(whole["documents"], kind="stable")
        return Scores(*(whole[name][order] for name in _TYPES))

    def __len__(self) -> int:
        return len(self.keys)

    def lacks(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of the keys have no score."""
        return self._places(keys) < 0

    def get(self, key: str) -> Score | None:
        """The score with a key; the first that was written, if there are several."""
        (place,) = self._places([key])
        return None if place < 0 else Score(float(self.nats[place]), int(self.tokens[place]), int(self.bytes[place]))

    def _places(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        wanted = np.array(keys, _KEY)
        places = np.searchsorted(self.keys, wanted)
        inside = places < len(self.keys)
        inside[inside] = self.keys[places[inside]] == wanted[inside]
        return np.where(inside, places, -1)
