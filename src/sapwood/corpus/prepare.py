"""Prepares one source: its files in, Parquet shards of documents, a quarantine and a manifest out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sapwood import __version__
from sapwood.corpus.block import Block
from sapwood.corpus.document import SHARDS, shards
from sapwood.corpus.engine import run
from sapwood.corpus.holdout import HoldOut
from sapwood.corpus.inputs import InputFile, list_files, take_fingerprints
from sapwood.corpus.quarantine import QUARANTINE, Reason, read_quarantine
from sapwood.corpus.read import ReadDocuments
from sapwood.corpus.write import ATTEMPT, WriteDocuments, document_schema, read_account
from sapwood.errors import SapwoodError
from sapwood.files import read_json, remove_leftovers, write_atomic, write_json
from sapwood.manifest import NAME as MANIFEST
from sapwood.manifest import Manifest, read_manifest
from sapwood.recipe.schema import Holdout, Source

SHARD_BYTES = 64 * 2**20
"""Text in a shard."""
FORMAT = 1
"""Counts the changes after which prepared sources of before are no longer what would be made now."""

_PARTS = "quarantine-*.jsonl"


def block_list(
    name: str,
    source: Source,
    holdout: Holdout,
    files: Sequence[InputFile],
    directory: Path,
    attempt: str,
    *,
    watched: bool,
) -> list[Block]:
    """The steps that every document passes through, in order."""
    blocks: list[Block] = [
        ReadDocuments(name, list(files), source.text, directory),
        HoldOut(*_share(holdout, watched=watched)),
    ]
    return [*blocks, WriteDocuments(name, directory, document_schema(blocks), SHARD_BYTES, attempt)]


def prepare_source(name: str, source: Source, holdout: Holdout, *, watched: bool, directory: Path) -> Manifest:
    """Prepares the source `name` in `directory`, unless that was done before with the same files and settings.

    A `watched` source is held out whole. Work that was stopped goes on where it was.

    In the manifest, `counts` has `documents_read`, `documents_written`, `held_out`, `quarantined` and `bytes` (of text,
    UTF-8); `reasons` counts the quarantined by reason. Documents with the same text are all kept.

    Raises SapwoodError where files are missing or cannot be opened, or no document can be used.
    """
    files, known = list_files(name, source.files), _known(directory)
    inputs, settings, described = _describe(name, source, holdout, files, known, watched=watched)
    planned = Manifest(step="corpus", inputs=inputs, settings=settings)
    attempt = {"fingerprint": planned.fingerprint, "files": described}
    done = read_manifest(directory)
    if done is not None and done.fingerprint == planned.fingerprint:
        if known != described:
            write_json(directory / ATTEMPT, attempt)
        _remove(directory, _PARTS)
        return done
    _begin(directory, attempt)
    blocks = block_list(name, source, holdout, files, directory, planned.fingerprint, watched=watched)
    run(blocks, files, directory, f"preparing {name}")
    return _finish(name, planned, directory)


def source_fingerprint(
    name: str, source: Source, holdout: Holdout, *, watched: bool, directory: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and settings that the manifest of the prepared source would have.

    Local files that `directory` remembers with their size and time are not read again.
    """
    files, known = list_files(name, source.files), _known(directory)
    inputs, settings, _ = _describe(name, source, holdout, files, known, watched=watched)
    return inputs, settings


def _known(directory: Path) -> dict[str, dict[str, Any]]:
    path = directory / ATTEMPT
    return dict(read_json(path)["files"]) if path.exists() else {}


def _describe(
    name: str,
    source: Source,
    holdout: Holdout,
    files: list[InputFile],
    known: dict[str, dict[str, Any]],
    *,
    watched: bool,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs and settings for the manifest, and the files as they are remembered for the next time."""
    share, salt = _share(holdout, watched=watched)
    settings = {
        "source": name,
        "text": source.text,
        "share": str(share),
        "salt": salt,
        "shard_bytes": SHARD_BYTES,
        "format": FORMAT,
    }
    found = take_fingerprints(name, files, known)
    inputs = {"files": {file: {"size": taken.size, "hash": taken.hash} for file, taken in found.items()}}
    return inputs, settings, {file: asdict(taken) for file, taken in found.items()}


def _share(holdout: Holdout, *, watched: bool) -> tuple[Fraction, str]:
    return (Fraction(1), "") if watched else (holdout.share, holdout.salt)


def _begin(directory: Path, attempt: dict[str, Any]) -> None:
    """Makes `directory` ready to go on with the same attempt, or else empties it and starts this one."""
    path = directory / ATTEMPT
    if (
        path.exists()
        and not (directory / MANIFEST).exists()
        and read_json(path)["fingerprint"] == attempt["fingerprint"]
    ):
        remove_leftovers(directory)
        return
    # The marks go first: a half-emptied directory must not look like a finished or a resumable one.
    _remove(directory, MANIFEST)
    _remove(directory, ATTEMPT)
    for pattern in (SHARDS, _PARTS, QUARANTINE):
        _remove(directory, pattern)
    shutil.rmtree(directory / "logs", ignore_errors=True)
    remove_leftovers(directory)
    write_json(path, attempt)


def _finish(name: str, planned: Manifest, directory: Path) -> Manifest:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for account in map(read_account, shards(directory)):
        counts.update(account.counts)
        reasons.update(account.reasons)
    parts = sorted(directory.glob(_PARTS))
    write_atomic(directory / QUARANTINE, b"".join(part.read_bytes() for part in parts))
    if not counts["documents_written"]:
        raise SapwoodError(_nothing_usable(name, reasons, directory))
    manifest = replace(
        planned,
        counts=dict(counts),
        reasons=dict(reasons),
        versions={"sapwood": __version__, "datatrove": version("datatrove"), "pyarrow": version("pyarrow")},
    )
    manifest.write(directory)
    _remove(directory, _PARTS)
    return manifest


def _nothing_usable(name: str, reasons: Counter[str], directory: Path) -> str:
    if not reasons:
        return f"Source '{name}': the files are empty."
    listed = ", ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
    message = f"Source '{name}': no row can be used ({listed}); they are listed in {directory / QUARANTINE}."
    if Reason.NO_COLUMN in reasons:
        first = next(item for item in read_quarantine(directory) if item["reason"] == Reason.NO_COLUMN)
        message += f"\n{first['file']} has {first['excerpt']}. Write `text: COLUMN` under the source."
    return message


def _remove(directory: Path, pattern: str) -> None:
    for path in directory.glob(pattern):
        path.unlink(missing_ok=True)
