"""What a finished step leaves beside its files: from what, how, and how much.

A step whose manifest matches is not run again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sapwood.files import fingerprint, read_json, write_json

NAME = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The account of one finished step, written last of all its files."""

    step: str
    """What was done, for example `corpus`."""
    inputs: dict[str, Any]
    """Fingerprints of what was read."""
    settings: dict[str, Any]
    """Everything that decides the output, beside the inputs."""
    counts: dict[str, int] = field(default_factory=dict)
    """Documents, bytes, tokens: read, written, dropped."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Documents set aside, by reason."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the programs that took part."""

    @property
    def fingerprint(self) -> str:
        """Identifies the step's output: it depends on the step, the inputs and the settings alone."""
        return fingerprint([self.step, self.inputs, self.settings])

    def write(self, directory: Path) -> None:
        """Marks the step in `directory` as finished."""
        write_json(directory / NAME, asdict(self))


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest in `directory`; None if the step there never finished."""
    path = directory / NAME
    return Manifest(**read_json(path)) if path.exists() else None
