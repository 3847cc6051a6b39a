"""The first step: the files of a source in, Parquet shards of documents and a quarantine out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sapwood import __version__
from sapwood.corpus.annotate import LOGS
from sapwood.corpus.block import QUARANTINE, Block, Reason, read_quarantine
from sapwood.corpus.engine import run
from sapwood.corpus.formats import PARQUET, TABLES, WEB, Fields, format_of
from sapwood.corpus.formats.page import EXTRACTION
from sapwood.corpus.inputs import (
    Fingerprint,
    InputFile,
    Part,
    list_files,
    require_unchanged,
    split_files,
    take_fingerprints,
)
from sapwood.corpus.normalise import CONVERSION, NormaliseText
from sapwood.corpus.read import ReadDocuments
from sapwood.corpus.store import DOCUMENTS, SHARDS, SourceStore, read_account, shard_names
from sapwood.corpus.write import QUARANTINE_PARTS, WriteDocuments, reached
from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_atomic, write_json
from sapwood.progress import console
from sapwood.recipe.data import Engine, Normalise, Source
from sapwood.runs.manifest import ATTEMPT, Manifest, begin, finished, remake

SHARD_BYTES = 64 * 2**20
"""Text in a shard."""
FORMAT = 3
"""Counts the changes after which prepared sources of before are no longer what would be made now."""

WHOLE_TABLES = {Reason.NO_COLUMN, Reason.TWO_COLUMNS}
"""Reasons that stand for all rows of a file with a header or a schema, and for one of JSON."""
NOTED_FILES = 5
"""How many such files are named; all are in the quarantine."""

REMEDIES: dict[str, str] = {
    Reason.NO_COLUMN: "Write `text: COLUMN` under the source; `text: a.b` for `b` inside `a`.",
    Reason.NOT_A_STRING: "Write `text: COLUMN` under the source, of a column that holds texts; join lists into one.",
    Reason.TWO_COLUMNS: "Give one of them another name.",
    Reason.BROKEN_JSON: "JSON Lines has an object a line; a file with an array, or with objects over several lines, "
    "is called `.json`.",
    Reason.NOT_AN_OBJECT: "Write objects with the key `text`; a file with an array of them is called `.json`.",
    Reason.NOT_UTF8: "Write it in UTF-8: `iconv -f ENCODING -t UTF-8`, with the encoding that it is in.",
}


def ingest(store: SourceStore, source: Source, normalise: Normalise, engine: Engine) -> Manifest:
    """Reads the source's files into documents, unless that was done before with the same files and settings.

    Work that was stopped goes on where it was. In the manifest, `counts` has `documents_read`, `documents`,
    `quarantined` and `bytes` (of text, UTF-8), and where there are such web pages `encoding_detected` and
    `encoding_damaged` (`formats/encoding.py`); `reasons` counts the quarantined by reason.

    Raises SapwoodError where files are missing or cannot be opened, or no document can be used.
    """
    files = list_files(store.name, source.files)
    planned, taken = _plan(store, source, normalise, files)
    fingerprints = {name: asdict(file) for name, file in taken.items()}
    directory = store.step(DOCUMENTS)
    done = finished(directory, planned)
    if done is not None:
        if _known(directory) != fingerprints:
            write_json(directory / ATTEMPT, {"fingerprint": planned.fingerprint, "files": fingerprints}, sealed=True)
        _remove_parts(directory)
        return done
    if _known(directory) != fingerprints:
        # Equal files of another version may have had another content in between, and shards made of that.
        (directory / ATTEMPT).unlink(missing_ok=True)
    begin(directory, planned, (SHARDS, QUARANTINE_PARTS, QUARANTINE, LOGS), {"files": fingerprints})
    started = time.monotonic()
    parts = split_files(files)
    run(
        blocks(store, source, normalise, parts, planned.fingerprint),
        tasks=len(parts),
        logs=directory / LOGS,
        engine=engine,
        title=f"{store.name}: {DOCUMENTS}",
        total=sum(file.size for file in files),
        reached=_Reached(directory),
    )
    try:
        require_unchanged(store.name, files, taken)
    except SapwoodError:
        (directory / ATTEMPT).unlink(missing_ok=True)
        raise
    return _finish(store, planned, time.monotonic() - started)


def blocks(
    store: SourceStore, source: Source, normalise: Normalise, parts: Sequence[Part], attempt: str
) -> list[Block]:
    """The blocks that every document passes through, in order."""
    directory = store.step(DOCUMENTS)
    return [
        ReadDocuments(list(parts), Fields(source.text, source.url), directory),
        NormaliseText(normalise, source.language),
        WriteDocuments(store.name, directory, SHARD_BYTES, attempt),
    ]


def ingested(store: SourceStore, source: Source, normalise: Normalise) -> bool:
    """Whether the documents in `store` are what `ingest` would make now. Unchanged local files are not read again."""
    planned, _ = _plan(store, source, normalise, list_files(store.name, source.files))
    return finished(store.step(DOCUMENTS), planned) is not None


def _plan(
    store: SourceStore, source: Source, normalise: Normalise, files: list[InputFile]
) -> tuple[Manifest, dict[str, Fingerprint]]:
    """The manifest to be, and what there is to know of the files, to be remembered for the next time."""
    taken = take_fingerprints(store.name, files, _known(store.step(DOCUMENTS)))
    planned = Manifest(
        step=DOCUMENTS,
        inputs={"files": {name: {"size": file.size, "hash": file.hash} for name, file in taken.items()}},
        settings={
            "source": store.name,
            "text": source.text,
            "url": source.url,
            "language": source.language,
            "normalise": normalise.model_dump(),
            **({"conversion": CONVERSION} if (normalise.script or "").startswith("traditional") else {}),
            "shard_bytes": SHARD_BYTES,
            "format": FORMAT,
            **({"extraction": EXTRACTION} if any(format_of(file.name) in WEB for file in files) else {}),
        },
    )
    return planned, taken


def _known(directory: Path) -> dict[str, dict[str, Any]]:
    path = directory / ATTEMPT
    return dict(read_json(path, remake(directory))["files"]) if path.exists() else {}


class _Reached:
    """Bytes of the source's files that have gone into shards. Every shard is opened once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tasks: dict[str, int] = {}
        self.seen: set[str] = set()

    def __call__(self) -> int:
        for name in shard_names(self.directory):
            if name not in self.seen:
                self.seen.add(name)
                self.tasks[name.split("-")[0]] = reached(self.directory / f"{name}.parquet").bytes
        return sum(self.tasks.values())


def _finish(store: SourceStore, planned: Manifest, seconds: float) -> Manifest:
    directory = store.step(DOCUMENTS)
    counts: Counter[str] = Counter(documents_read=0, documents=0, quarantined=0, bytes=0)
    reasons: Counter[str] = Counter()
    for shard in store.shards():
        account = read_account(directory / f"{shard}.parquet")
        counts.update(account["counts"])
        reasons.update(account["reasons"])
    parts = sorted(directory.glob(QUARANTINE_PARTS))
    write_atomic(directory / QUARANTINE, b"".join(part.read_bytes() for part in parts))
    if not counts["documents"]:
        raise SapwoodError(_nothing_usable(store.name, reasons, directory))
    manifest = replace(
        planned,
        counts=dict(counts),
        reasons=dict(reasons),
        versions=_versions(),
        seconds=round(seconds, 3),
    )
    manifest.write(directory, SHARDS, QUARANTINE)
    _remove_parts(directory)
    _note_losses(store.name, directory, reasons)
    return manifest


def _versions() -> dict[str, str]:
    return {"sapwood": __version__, "datatrove": version("datatrove"), "pyarrow": version("pyarrow")}


def _nothing_usable(name: str, reasons: Counter[str], directory: Path) -> str:
    if not reasons:
        return f"Source '{name}': the files are empty."
    listed = ", ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
    message = f"Source '{name}': no row can be used ({listed}); they are listed in {directory / QUARANTINE}."
    most = reasons.most_common(1)[0][0]
    first = next(item for item in read_quarantine(directory) if item["reason"] == most)
    return f"{message}\n{first['file']}, row {first['row']}: {first['excerpt']}. {REMEDIES.get(most, '')}".rstrip()


def _note_losses(name: str, directory: Path, reasons: Counter[str]) -> None:
    """Says so where more than single rows was lost: what follows a break is not even counted."""
    if reasons.keys() & {Reason.BROKEN_FILE, *WHOLE_TABLES}:
        lost = [item for item in read_quarantine(directory) if _ends_its_file(item)]
        for item in lost[:NOTED_FILES]:
            console.print(
                f"Source '{name}': {item['file']} is not read from row {item['row']} on: {item['reason']}, "
                f"{item['excerpt']}",
                style="yellow",
            )
        if len(lost) > NOTED_FILES:
            console.print(f"Source '{name}': {len(lost) - NOTED_FILES} more in {directory / QUARANTINE}")


def _ends_its_file(item: Mapping[str, Any]) -> bool:
    table = format_of(item["file"]) in (PARQUET, *TABLES)
    return item["reason"] == Reason.BROKEN_FILE or (item["reason"] in WHOLE_TABLES and table)


def _remove_parts(directory: Path) -> None:
    for path in directory.glob(QUARANTINE_PARTS):
        path.unlink(missing_ok=True)
