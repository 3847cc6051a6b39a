"""What trials take from each other instead of making it again: documents, tokens, and what the base model measures.

Files are linked and not copied. Nothing of ours changes a file in place, but replaces it whole, so that a trial which
needs something else makes its own and leaves the others' as it is; the manifests decide what that is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sapwood.evaluation.result import BASE
from sapwood.runs.directory import RunDirectory

PARTS = ("corpus", "tokens", "topics", "synthesis", "domains")
"""The directories of a run that preparing fills."""
_APPENDED = (".jsonl",)
"""Files of these kinds may be added to in place: they are copied."""


def take(donor: RunDirectory, run: RunDirectory) -> None:
    """Gives a run what another one made of the same recipe's sources and base model, unless it has something itself.

    Killed half-way, it is done again: a part appears under its name only when it is whole.
    """
    for part in (*PARTS, *_measured(donor)):
        source, target = donor.root / part, run.root / part
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.shared.tmp")
            _remove(beside)
            _link(source, beside)
            beside.replace(target)


def _measured(donor: RunDirectory) -> list[str]:
    """What was measured of the base model, by its path in the run."""
    found = [donor.evaluation / f"{BASE}.json", *donor.suites.glob(f"*/{BASE}")]
    return [str(path.relative_to(donor.root)) for path in found]


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(str(source), str(target))


def _link_file(source: str, target: str) -> None:
    if source.endswith(_APPENDED):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
