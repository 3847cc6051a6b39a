"""A recipe's source that is made of items: from programs or a synthesis job to a file of documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from sapwood.errors import SapwoodError
from sapwood.files import atomic_file
from sapwood.progress import console
from sapwood.recipe import load_synthesis
from sapwood.recipe.data import Source
from sapwood.runs.manifest import Manifest, finished, read_manifest
from sapwood.synthesis.account import read_records
from sapwood.synthesis.attempts import assemble
from sapwood.synthesis.corrupt import corrupt
from sapwood.synthesis.directory import JobDirectory
from sapwood.synthesis.item import Item
from sapwood.synthesis.programs import make_items, programs_identity

DOCUMENTS = "documents.jsonl"
"""The documents, one JSON object a line: `text`, `url`, and the item's record."""


def write_source(name: str, source: Source, seed: int, directory: Path) -> Path:
    """Writes the documents of the source `name` into `directory`, unless that was done before, and returns their file.

    In the manifest, `counts` has `items`, those of them that were `corrupted`, and those that were to be and are
    `unchangeable`.

    Raises SapwoodError where the items are not there: reasoning-gym is not installed, the synthesis job not finished.
    """
    inputs, items = _items(name, source, seed)
    settings = {
        "source": name,
        "seed": seed,
        "assembly": source.assembly.model_dump(),
        "corrupt": source.corrupt and source.corrupt.model_dump(mode="json"),
    }
    planned = Manifest(step="items", inputs=inputs, settings=settings)
    path = directory / DOCUMENTS
    if finished(directory, planned) is None:
        counts = {"items": 0, "corrupted": 0, "unchangeable": 0}
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            for item, changes in _corrupted(items, source, seed):
                counts["items"] += 1
                counts["corrupted"] += bool(changes)
                counts["unchangeable"] += changes is None
                file.write(orjson.dumps(_document(item, changes, source)) + b"\n")
        replace(planned, counts=counts).write(directory, DOCUMENTS)
        if source.corrupt is not None:
            console.print(
                f"Source '{name}': {counts['corrupted']:,} of {counts['items']:,} items made wrong on purpose; "
                f"{counts['unchangeable']:,} more were to be, and have nothing in them that could be changed."
            )
    return path


def _items(name: str, source: Source, seed: int) -> tuple[dict[str, Any], Iterable[Item]]:
    """What identifies the items, and they."""
    if source.programs:
        return programs_identity(name, source.programs, seed), make_items(name, source.programs, seed)
    job = load_synthesis(Path(source.synthesis or ""))
    directory = JobDirectory(Path(job.output or ""))
    done = read_manifest(directory.root, directory.remedy)
    if done is None:
        raise SapwoodError(
            f"Source '{name}': the synthesis job is not finished. `sapwood synthesize {source.synthesis}` does it."
        )
    accepted = read_records(directory.accepted, directory.remedy)
    return {"job": done.fingerprint, "accepted": done.counts["accepted"]}, map(Item.from_json, accepted)


def _corrupted(items: Iterable[Item], source: Source, seed: int) -> Iterable[tuple[Item, Any]]:
    if source.corrupt is None:
        return ((item, []) for item in items)
    return corrupt(list(items), source.corrupt, seed)


def _document(item: Item, changes: Any, source: Source) -> dict[str, Any]:
    url = None if item.page is None else item.page.url
    return {"text": assemble(item, source.assembly), "url": url, "corrupted": changes, **item.to_json()}
