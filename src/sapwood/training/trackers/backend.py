"""What all trackers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = "sapwood"
"""Where a tracker files a run, unless its own environment variable says otherwise."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a tracker is opened with."""

    name: str
    """Of the run."""
    config: dict[str, Any]
    """The recipe with every default, as JSON; secrets in addresses are taken out."""
    directory: Path
    """Where a tracker may keep files beside the run. It exists."""
    known: str | None
    """What the tracker calls the run, if it was begun there before."""


class Backend(Protocol):
    """A run that is open in a tracker. All calls come from the same thread, which is not the main one."""

    @property
    def id(self) -> str:
        """What the tracker calls the run; with it the run is found again after a restart."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the values of a step."""

    def close(self, failed: bool) -> None:
        """Hands over what is still on its way, and closes the run."""
