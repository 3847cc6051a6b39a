"""What a finished step leaves beside its files: from what, how, and how much.

A step whose manifest matches is not run again; one that was stopped goes on, as long as it is the same (`begin`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sapwood.files import fingerprint, is_there, read_json, reading, remove_leftovers, write_json

NAME = "manifest.json"
ATTEMPT = "attempt.json"
"""What a directory is being filled with; its `fingerprint` is the one to which every writer there must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The account of one finished step, written last of all its files."""

    step: str
    """What was done, for example `documents`."""
    inputs: dict[str, Any]
    """Fingerprints of what was read."""
    settings: dict[str, Any]
    """Everything that decides the output, beside the inputs."""
    counts: dict[str, int] = field(default_factory=dict)
    """Documents, bytes, tokens: read, written, dropped."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Documents filtered, by reason."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the programs that took part."""
    seconds: float = field(default=0.0, compare=False)
    """How long the step took when it last ran, on the clock."""
    files: dict[str, int] = field(default_factory=dict, compare=False)
    """The bytes of the files that the step wrote, where `write` was told to look at them."""

    @property
    def fingerprint(self) -> str:
        """Identifies the step's output: it depends on the step, the inputs and the settings alone."""
        return fingerprint([self.step, self.inputs, self.settings])

    def write(self, directory: Path, *outputs: str) -> None:
        """Marks the step in `directory` as finished; `outputs` are patterns of files that must stay as they are."""
        files = {path.name: path.stat().st_size for pattern in outputs for path in sorted(directory.glob(pattern))}
        write_json(directory / NAME, asdict(replace(self, files=files)), sealed=True)


def read_manifest(directory: Path, remedy: str | None = None) -> Manifest | None:
    """The manifest in `directory`; None if the step there never finished.

    Raises SapwoodError where it is damaged, or a file that it names is missing or has another size; `remedy` says what
    to do then, if it is not to remove the directory.
    """
    path, remedy = directory / NAME, remedy or remake(directory)
    if not is_there(path):
        return None
    record = read_json(path, remedy)
    with reading(path, remedy):
        found = Manifest(**record)
    for name, size in found.files.items():
        with reading(directory / name, remedy):
            now = (directory / name).stat().st_size
            if now != size:
                raise ValueError(f"it has {now:,} bytes, and had {size:,}")
    return found


def remake(directory: Path) -> str:
    """What to do where a file of a step is damaged."""
    return f"Remove {directory}: the command that made it makes it again."


def finished(directory: Path, planned: Manifest, remedy: str | None = None) -> Manifest | None:
    """The manifest in `directory` (`read_manifest`), if it is that of a finished step equal to the `planned` one."""
    done = read_manifest(directory, remedy)
    return done if done is not None and done.fingerprint == planned.fingerprint else None


def begin(
    directory: Path, planned: Manifest, outputs: Iterable[str], remember: Mapping[str, Any] | None = None
) -> None:
    """Makes `directory` ready to go on with the planned step, or else empties it of `outputs` and starts that step.

    `outputs` are glob patterns of the files and directories that the step writes. `remember` is kept with the mark.
    """
    mark = directory / ATTEMPT
    stopped = mark.exists() and not (directory / NAME).exists()
    if not stopped or not is_begun(directory, planned.fingerprint):
        # The marks go first: a half-emptied directory must not look like a finished or a resumable one.
        (directory / NAME).unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        for pattern in outputs:
            for path in directory.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_json(mark, {"fingerprint": planned.fingerprint, **(remember or {})}, sealed=True)
    remove_leftovers(directory)


def is_begun(directory: Path, attempt: str) -> bool:
    """Whether `directory` still serves the step with the fingerprint `attempt`."""
    mark = directory / ATTEMPT
    return mark.exists() and bool(read_json(mark, remake(directory))["fingerprint"] == attempt)
